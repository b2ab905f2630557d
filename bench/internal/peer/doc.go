// Package peer is what people use otherwise to carry changes out under a limit:
// asynq with a rate limiter in front, or the retrying that SDKs bring along. Each
// is written as its documentation has it, and where that leaves a choice, in its
// favour. A peer is a process of its own: the program that measures, started
// again. It must not know the simulator, how it is measured, nor rollcall.
package peer

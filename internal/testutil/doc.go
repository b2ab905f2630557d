// Package testutil holds what tests of several packages need: waiting for a
// condition, a buffer that is read while a process writes to it, and an HTTP
// server without a socket, which works on a fake clock. Only tests import it; it
// must know no other package of the project.
package testutil

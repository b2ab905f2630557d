// Package browser drives the console with a real browser, against real processes: it
// is a module of its own, so that what drives the browser stays out of the commands.
package browser

package testutil

import (
	"bytes"
	"sync"
)

// Buffer is an io.Writer whose content can be read while it is written to. The
// zero value is empty.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends p.
func (h *Buffer) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.b.Write(p)
}

// String returns all that has been written.
func (h *Buffer) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()

	return h.b.String()
}

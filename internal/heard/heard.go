// Package heard keeps what a process or a log says while a test reads it. It is
// imported by tests only.
package heard

import (
	"bytes"
	"sync"
)

// Buffer is written and read at the same time. The zero value is empty.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write adds to it.
func (h *Buffer) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.Write(p)
}

// String is all that has been written.
func (h *Buffer) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.b.String()
}

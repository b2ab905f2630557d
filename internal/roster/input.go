package roster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"syscall"
)

// Input is a list of open files that make up one batch, in their order. It is
// not safe for concurrent use.
type Input struct {
	sources []*source
	sums    []textSum // of each file, once Check has read them all
}

// source is one file. Content that can be read only once (standard input, a
// pipe) is spooled to a temporary file on first use, so that both passes see
// the same.
type source struct {
	name   string
	file   *os.File  // nil until spooled
	stream io.Reader // what to spool; nil if nothing is
	closer io.Closer // the stream's, if it is ours to close
	temp   string    // spool file that could not be unlinked while open
	err    error     // why spooling failed
}

// Open opens all files at once and keeps them open, so that a file that is
// renamed or replaced later does no harm. "-" is stdin, called "stdin" in
// messages, and may be named once.
//
// Its errors name the files: all that are missing, directories or unreadable.
func Open(names []string, stdin io.Reader) (*Input, error) {
	in := new(Input)
	var errs []error
	stdins := 0
	for _, name := range names {
		if name == "-" {
			if stdins++; stdins == 2 {
				errs = append(errs, ErrStdinTwice)
			}
			in.sources = append(in.sources, &source{name: "stdin", stream: stdin})
			continue
		}
		src, err := openFile(name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		in.sources = append(in.sources, src)
	}
	if len(errs) > 0 {
		return nil, errors.Join(append(errs, in.Close())...)
	}
	return in, nil
}

func openFile(name string) (*source, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: syscall.EISDIR}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !info.Mode().IsRegular() {
		return &source{name: name, stream: f, closer: f}, nil
	}
	return &source{name: name, file: f}, nil
}

// Close closes the files and removes what was spooled. It does not close
// stdin.
func (in *Input) Close() error {
	var errs []error
	for _, s := range in.sources {
		if s.closer != nil {
			errs = append(errs, s.closer.Close())
		}
		if s.file != nil {
			errs = append(errs, s.file.Close())
		}
		if s.temp != "" {
			errs = append(errs, os.Remove(s.temp))
		}
	}
	in.sources = nil
	return errors.Join(errs...)
}

// open returns the content from its beginning. A stream is spooled first, up
// to limit bytes.
func (s *source) open(ctx context.Context, limit int64) (io.Reader, error) {
	if s.file == nil && s.err == nil {
		s.err = s.spool(ctx, limit)
	}
	if s.err != nil {
		return nil, s.err
	}
	// Reading ends where the file ends, even if it has grown since.
	r := io.NewSectionReader(s.file, 0, math.MaxInt64)
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}), nil
}

// spool copies the stream to a temporary file. A stream may never end, so the
// context is heeded even while nothing comes; a copy that is waiting then ends
// with the process, or when the stream does.
func (s *source) spool(ctx context.Context, limit int64) error {
	f, err := os.CreateTemp("", "rollcall-*.csv")
	if err != nil {
		return fmt.Errorf("keep a copy of %s: %w", s.name, err)
	}
	if os.Remove(f.Name()) != nil {
		s.temp = f.Name()
	}
	type result struct {
		n   int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		n, err := io.Copy(f, io.LimitReader(s.stream, limit+1))
		done <- result{n, err}
	}()
	s.file = f // whatever happens, Close closes it
	select {
	case <-ctx.Done():
		return ctx.Err()
	case r := <-done:
		switch {
		case r.err != nil:
			return fmt.Errorf("read %s: %w", s.name, r.err)
		case r.n > limit:
			return errTooLarge(limit)
		}
		return nil
	}
}

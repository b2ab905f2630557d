package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// maxTokenFile caps a token file, in bytes.
const maxTokenFile = 64 << 10

// lookEvery is how often it is looked whether a token file has changed, at most.
const lookEvery = time.Second

// FileSource gives the token that stands in a file, for every tenant.
type FileSource struct {
	path string

	mu       sync.Mutex
	token    string
	looked   time.Time // when the file was last looked at
	modified time.Time
	size     int64
}

// FileTokens makes a source that reads a file. It reads again a second after the
// file has changed, and when a fresh token is asked for. White space around the token is
// dropped.
func FileTokens(path string) *FileSource { return &FileSource{path: path} }

// Token implements [TokenSource]. Its errors never hold the content of the file.
func (s *FileSource) Token(ctx context.Context, _ string, fresh bool) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if !fresh && now.Sub(s.looked) < lookEvery {
		return s.token, nil
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	if s.token != "" && !fresh && info.ModTime().Equal(s.modified) && info.Size() == s.size {
		s.looked = now
		return s.token, nil
	}
	token, err := readToken(s.path)
	if err != nil {
		return "", err
	}
	s.token, s.looked, s.modified, s.size = token, now, info.ModTime(), info.Size()
	return token, nil
}

func readToken(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxTokenFile+1))
	if err != nil {
		return "", fmt.Errorf("token file: %w", err)
	}
	token := strings.TrimSpace(string(data))
	switch {
	case len(data) > maxTokenFile:
		return "", errors.New("token file: larger than 64 KiB")
	case token == "":
		return "", errors.New("token file: empty")
	case !validToken(token):
		return "", errors.New("token file: holds white space or characters that no token has")
	}
	return token, nil
}

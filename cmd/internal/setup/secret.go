package setup

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxSecret caps a secret, in bytes.
const maxSecret = 4 << 10

// readSecret reads the secret from the file that a variable names; nil if it names
// none. Errors repeat nothing of the variable, in which the secret itself may stand by
// mistake.
func readSecret(env func(string) string, variable string) ([]byte, error) {
	name := env(variable)
	if name == "" {
		return nil, nil
	}
	if err := checkFileNames(env, variable); err != nil {
		return nil, err
	}
	secret, err := readFile(name)
	if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
		err = pathErr.Err // without the name
	}
	if err != nil {
		return nil, fmt.Errorf("the file that %s names cannot be read: %w", variable, err)
	}
	if line, ended := bytes.CutSuffix(secret, []byte("\n")); ended { // as editors and echo leave it
		secret = bytes.TrimSuffix(line, []byte("\r"))
	}
	switch {
	case len(secret) == 0:
		return nil, fmt.Errorf("the file that %s names is empty", variable)
	case len(secret) > maxSecret:
		return nil, fmt.Errorf("the file that %s names is larger than %d bytes", variable, maxSecret)
	}
	return secret, nil
}

func readFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(io.LimitReader(file, maxSecret+3)) // with its line end
}

package test

import "path/filepath"

// root is the directory of the module.
var root = moduleRoot()

func moduleRoot() string {
	dir, err := filepath.Abs("..") // tests run in the directory of their package
	if err != nil {
		panic(err)
	}
	return dir
}

//go:build !race && (integration || endurance)

package test

// buildFlags and cgoSetting are those of the image: what a test builds then comes from
// Go's cache.
var buildFlags = []string{"-trimpath", "-buildvcs=false"}

const (
	raced      = false
	cgoSetting = "CGO_ENABLED=0"
)

package cli

import (
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "0123abcd"}
	at := debug.BuildSetting{Key: "vcs.time", Value: "2026-11-25T10:00:00Z"}
	system := []debug.BuildSetting{{Key: "GOOS", Value: "linux"}, {Key: "GOARCH", Value: "arm64"}}
	for want, info := range map[string]*debug.BuildInfo{
		"devel":                        {},
		"devel, go1.26.8":              {GoVersion: "go1.26.8", Main: debug.Module{Version: "(devel)"}},
		"v1.2.3, go1.26.8 linux/arm64": {GoVersion: "go1.26.8", Main: debug.Module{Version: "v1.2.3"}, Settings: system},
		"devel, revision 0123abcd":     {Settings: []debug.BuildSetting{revision, {Key: "vcs.modified", Value: "false"}}},
		"v1, revision 0123abcd of 2026-11-25T10:00:00Z with changes": {
			Main: debug.Module{Version: "v1"}, Settings: []debug.BuildSetting{revision, at, {Key: "vcs.modified", Value: "true"}},
		},
	} {
		if got := describe(info); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

package cli

import (
	"cmp"
	"runtime/debug"
	"slices"
	"strings"
)

// Version is the module version the binary was built from, or "devel".
func Version() string { return versionOf(buildInfo()) }

func buildInfo() *debug.BuildInfo {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info
	}
	return new(debug.BuildInfo)
}

func versionOf(info *debug.BuildInfo) string {
	if info.Main.Version == "(devel)" {
		return "devel"
	}
	return cmp.Or(info.Main.Version, "devel")
}

// describe says on one line what a binary was built from and with: its version, and
// what is known of the revision, whether files were changed since, and of Go.
func describe(info *debug.BuildInfo) string {
	setting := func(key string) string {
		i := slices.IndexFunc(info.Settings, func(s debug.BuildSetting) bool { return s.Key == key })
		if i < 0 {
			return ""
		}
		return info.Settings[i].Value
	}
	var known []string
	if revision := setting("vcs.revision"); revision != "" {
		known = append(known, "revision "+revision)
		if at := setting("vcs.time"); at != "" {
			known = append(known, "of "+at)
		}
		if setting("vcs.modified") == "true" {
			known = append(known, "with changes")
		}
	}
	text := versionOf(info)
	if len(known) > 0 {
		text += ", " + strings.Join(known, " ")
	}
	if info.GoVersion != "" {
		text += ", " + strings.TrimSpace(info.GoVersion+" "+strings.Trim(setting("GOOS")+"/"+setting("GOARCH"), "/"))
	}
	return text
}

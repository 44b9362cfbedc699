package main

import (
	"os"
	"path/filepath"
	"strings"
)

// configDirs are where ldirectord looks for a configuration by its name, in this order, before the present directory.
var configDirs = []string{"/etc/ha.d", "/etc/ha.d/conf"}

// defaultConfig is the name of ldirectord's.
const defaultConfig = "ldirectord.cf"

// findConfig returns the path of a configuration: what has no slash is a name to look for. A name that is found nowhere
// stands for a file in the first directory, so that messages say where it should be.
func findConfig(name string, dirs []string) string {
	if name == noConfig || name == "" || strings.Contains(name, "/") {
		return name
	}
	for _, dir := range append(dirs[:len(dirs):len(dirs)], ".") {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
			return path
		}
	}
	return filepath.Join(dirs[0], name)
}

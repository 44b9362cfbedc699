package ndbcluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoHeaders says that there is no NDB API to build with.
var ErrNoHeaders = errors.New("the NDB API is not here: set NDB_HOME, or install libndbclient-dev (mysql-cluster-community-devel)")

// BuildEnv returns the environment variables with which the go command builds with the tag ndbapi, each NAME=value. The
// error is [ErrNoHeaders] or [ErrNoKit] where there is nothing to build with.
func BuildEnv() ([]string, error) {
	kit, err := Find()
	if err != nil {
		return nil, err
	}
	headers, lib := "/usr/include/mysql/storage/ndb", "" // where MySQL's packages put them
	if kit.home != "" {
		headers, lib = filepath.Join(kit.home, "include", "ndb"), filepath.Join(kit.home, "lib")
	}
	if _, err := os.Stat(filepath.Join(headers, "ndbapi", "NdbApi.hpp")); err != nil {
		return nil, ErrNoHeaders
	}
	include := []string{"-I" + headers, "-I" + filepath.Join(headers, "ndbapi"), "-I" + filepath.Join(headers, "mgmapi"), "-I" + filepath.Dir(headers)}
	env := []string{fmt.Sprintf("CGO_CXXFLAGS=%s", strings.Join(include, " "))}
	if lib != "" {
		env = append(env, fmt.Sprintf("CGO_LDFLAGS=-L%s -Wl,-rpath,%s -Wl,-rpath-link,%s", lib, lib, lib))
	}
	return env, nil
}

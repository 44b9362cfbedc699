// Package schema holds the DDL of the SQL stores, installs it, and tells whether what is installed fits the program.
//
// Each engine has a folder of numbered files, 001 being the first version. A version, once released, is never edited:
// changes come as the next file. Every statement of a file must be repeatable, because DDL is no transaction and a
// program may die between two statements.
package schema

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

// Engines that there is a schema for.
const (
	NDB    = "ndb"    // MySQL NDB Cluster
	InnoDB = "innodb" // MySQL 8.0 and later, MariaDB 10.6 and later
)

// Version is the version that this program works with.
const Version = 1

//go:embed ndb/*.sql innodb/*.sql
var files embed.FS

// Print returns the whole schema of an engine as one SQL script, for people who apply DDL themselves. Applying it twice
// does no harm.
func Print(engine string) (string, error) {
	var b strings.Builder
	for v := range Version + 1 {
		text, err := read(engine, v)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&b, "%s\n%s;\n\n", text, record(engine, v))
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// read returns the file of one version.
func read(engine string, version int) (string, error) {
	if engine != NDB && engine != InnoDB {
		return "", fmt.Errorf("schema: there is none for engine %q, only for %s and %s", engine, NDB, InnoDB)
	}
	names, err := fs.Glob(files, fmt.Sprintf("%s/%03d_*.sql", engine, version))
	if err != nil || len(names) != 1 {
		return "", fmt.Errorf("schema: %d files for version %d of engine %s", len(names), version, engine)
	}
	text, err := files.ReadFile(names[0])
	return string(text), err
}

// record returns the statement that notes a version as applied.
func record(engine string, version int) string {
	return fmt.Sprintf("INSERT IGNORE INTO schema_version (version, applied, engine, store)\n"+
		"VALUES (%d, CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED), '%s', UNHEX(REPLACE(UUID(), '-', '')))", version, engine)
}

// statements splits a file: a statement ends with a semicolon at the end of a line; "--" begins a comment.
func statements(text string) (list []string) {
	var b strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "--")
		line = strings.TrimSpace(line)
		b.WriteString(strings.TrimSuffix(line, ";"))
		b.WriteByte('\n')
		if strings.HasSuffix(line, ";") {
			list = append(list, strings.TrimSpace(b.String()))
			b.Reset()
		}
	}
	return list
}

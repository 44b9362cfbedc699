// Package config reads ldirectord.cf as ldirectord 4.12 reads it.
//
// [Parse] gives a [File]: a [Spec], which is plain data with every default and precedence already applied, and the
// warnings. It reports every error of the file, each with its line and what was expected there. [File.Unsupported] then
// tells what the file asks of a director that has only some [Abilities], again by line. [Format] writes a Spec as a file
// that parses to the same Spec.
//
// Where we read a file differently from ldirectord is listed in docs/operator.md; a test runs the real program's parser
// beside ours.
//
// Directives that ldirectord does not have may stand in comments that begin with "#lvsproxy:".
package config

// Package config reads ldirectord.cf as ldirectord 4.12 reads it.
//
// [Parse] gives a [File]: a [Spec], which is plain data with every default and precedence already applied, and the
// warnings. It reports every error of the file, each with its line and what was expected there. [File.Unsupported] then
// tells what the file asks of a director that has only some [Abilities], again by line. [Format] writes a Spec as a file
// that parses to the same Spec.
//
// # Where we differ from ldirectord
//
//   - A blank line does not end a virtual section; ldirectord refuses the indented line after it.
//   - A comment may follow a global directive, and a # inside double quotes is no comment.
//   - Text after a number ("10s") is ignored as ldirectord ignores it, but with a warning.
//   - Regular expressions are Go's (RE2): what only Perl knows, such as look-ahead, is an error.
//   - Two real servers of one virtual service may not share address and port.
package config

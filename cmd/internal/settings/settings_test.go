package settings

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type program struct {
	flags *flag.FlagSet
	http  *string
	dsn   Strings
}

func newProgram() *program {
	p := &program{flags: flag.NewFlagSet("sessiond", flag.ContinueOnError)}
	p.flags.SetOutput(io.Discard)
	p.http = p.flags.String("http", "default:1", "")
	p.flags.Int("max-waiters", 1, "")
	p.flags.String("config", "", "")
	p.dsn.Redact = func(s string) string { return strings.Replace(s, "secret", "…", 1) }
	p.flags.Var(&p.dsn, "dsn", "")
	return p
}

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sessiond.conf")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPrecedence(t *testing.T) {
	path := write(t, "# comment\n\nhttp = file:1\nmax-waiters=7\ndsn = a\ndsn = b=c\n")
	for _, c := range []struct {
		env, arg, want string
	}{{"", "", "file:1"}, {"env:1", "", "env:1"}, {"env:1", "flag:1", "flag:1"}, {"", "flag:1", "flag:1"}} {
		p := newProgram()
		args := []string{"--config", path}
		if c.arg != "" {
			args = append(args, "--http", c.arg)
		}
		if c.env != "" {
			t.Setenv("SESSIOND_HTTP", c.env)
		} else {
			os.Unsetenv("SESSIOND_HTTP")
		}
		if err := Fill(p.flags, args); err != nil || *p.http != c.want {
			t.Fatalf("%+v: %q, %v", c, *p.http, err)
		}
		if got := strings.Join(p.dsn.Values, " "); got != "a b=c" {
			t.Fatalf("dsn: %q", got)
		}
	}
}

func TestErrorsSayWhere(t *testing.T) {
	for text, want := range map[string]string{
		"http = a\nhtpp = b\n":   ":2: unknown setting \"htpp\"",
		"\nmax-waiters = many\n": ":2: max-waiters: ",
		"http\n":                 ":1: expected name = value",
		"config = x\n":           ":1: unknown setting",
	} {
		if err := Fill(newProgram().flags, []string{"--config", write(t, text)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	t.Setenv("SESSIOND_MAX_WAITERS", "many")
	if err := Fill(newProgram().flags, nil); err == nil || !strings.Contains(err.Error(), "SESSIOND_MAX_WAITERS") {
		t.Errorf("environment: %v", err)
	}
	if err := Fill(newProgram().flags, []string{"stray"}); err == nil || !strings.Contains(err.Error(), "stray") {
		t.Errorf("argument: %v", err)
	}
}

func TestPrintHidesSecretsAndReadsBack(t *testing.T) {
	p := newProgram()
	if err := Fill(p.flags, []string{"--dsn", "u:secret@h", "--dsn", "x", "--http", "h:2"}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	Print(&b, p.flags)
	if got := b.String(); strings.Contains(got, "secret") || got != "dsn = u:…@h\ndsn = x\nhttp = h:2\nmax-waiters = 1\n" {
		t.Fatalf("printed %q", got)
	}
	again := newProgram()
	if err := fromLines(again.flags, "printed", &b, map[string]bool{}); err != nil || *again.http != "h:2" {
		t.Fatalf("read back: %v, %q", err, *again.http)
	}
}

func FuzzFile(f *testing.F) {
	f.Add("http = a\ndsn = b\n#c\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := newProgram()
		if err := fromLines(p.flags, "file", strings.NewReader(text), map[string]bool{}); err != nil && !strings.HasPrefix(err.Error(), "file:") {
			t.Fatalf("error %q does not say where", err)
		}
	})
}

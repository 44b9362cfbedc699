package phpsession

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/bench/rig/child"
	"github.com/lvsession/lvsession/bench/rig/need"
)

var formats = []Format{PHP, PHPSerialize, PHPBinary, Igbinary}

// php is a PHP process that decodes sessions and encodes them again.
type php struct {
	testing.TB
	mu  sync.Mutex
	in  io.WriteCloser
	out *bufio.Reader
}

func startPHP(t testing.TB, f Format) *php {
	t.Helper()
	script, err := filepath.Abs("testdata/echo.php")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(script); err != nil { // so that the go command sees that the test depends on it
		t.Fatal(err)
	}
	program := need.Program(t, "php", "php-cli")
	args := []string{"-d", "session.use_cookies=0", "-d", "session.cache_limiter=", "-d", "session.save_path=" + t.TempDir(),
		"-d", "serialize_precision=-1"}
	if f == Igbinary {
		args = append(args, igbinary(t, program)...)
	}
	cmd := exec.Command(program, append(args, "-d", "session.serialize_handler="+string(f), script)...)
	cmd.Stderr = os.Stderr
	p := &php{TB: t}
	if p.in, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.out = bufio.NewReader(out)
	process, err := child.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.in.Close()
		io.Copy(io.Discard, p.out)
		<-process.Done()
	})
	return p
}

// igbinary returns the arguments that load the extension, where php.ini does not.
func igbinary(t testing.TB, program string) []string {
	t.Helper()
	for _, args := range [][]string{nil, {"-d", "extension=igbinary"}} {
		out, err := exec.Command(program, append(args, "-r", `echo function_exists("igbinary_serialize") ? "yes" : "no";`)...).Output()
		if err == nil && string(out) == "yes" {
			return args
		}
	}
	need.Skip(t, "PHP has no igbinary: apt-get install php-igbinary")
	return nil
}

// echo returns what PHP makes of a payload; false if it cannot read it.
func (p *php) echo(payload []byte) (answer []byte, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintf(p.in, "%d\n%s", len(payload), payload); err != nil {
		p.Fatalf("tell PHP: %v", err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		p.Fatalf("PHP answers %q: %v, to %q", line, err, payload)
	}
	if line == "no\n" {
		return nil, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		p.Fatalf("PHP answers %q", line)
	}
	answer = make([]byte, n)
	if _, err := io.ReadFull(p.out, answer); err != nil {
		p.Fatalf("PHP answers too little: %v", err)
	}
	return answer, true
}

// What Go writes, PHP reads, and it writes the same bytes again; what PHP writes, Go writes again byte for byte.
func TestPHPWritesTheSame(t *testing.T) {
	for _, f := range formats {
		t.Run(string(f), func(t *testing.T) {
			php := startPHP(t, f)
			rapid.Check(t, func(t *rapid.T) {
				values := drawSession(t, f)
				payload, err := Encode(f, values)
				if errors.Is(err, ErrUnsupported) {
					return // a reference behind a custom object
				}
				if err != nil {
					t.Fatal(err)
				}
				answer, ok := php.echo(payload)
				if !ok {
					t.Fatalf("PHP does not read %q", payload)
				}
				if f != Igbinary && string(answer) != string(payload) {
					t.Fatalf("Go wrote  %q\nPHP wrote %q", payload, answer)
				}
				if again := reencode(t, f, answer); string(again) != string(answer) {
					t.Fatalf("PHP wrote %q\nGo wrote  %q", answer, again)
				}
			})
		})
	}
}

func reencode(t interface{ Fatalf(string, ...any) }, f Format, payload []byte) []byte {
	values, err := Decode(f, payload)
	if err != nil {
		t.Fatalf("decode %q: %v", payload, err)
	}
	again, err := Encode(f, values)
	if err != nil {
		t.Fatalf("encode again %q: %v", payload, err)
	}
	return again
}

// Damaged payloads are read, or refused, as PHP does it. Not those of igbinary: some of them crash the extension.
func TestPHPAgreesOnDamage(t *testing.T) {
	const seed, payloads = 4, 3000
	for _, f := range []Format{PHP, PHPSerialize, PHPBinary} {
		t.Run(string(f), func(t *testing.T) {
			php := startPHP(t, f)
			random := rand.New(rand.NewPCG(seed, 0))
			read := 0
			for range payloads {
				payload := damage(random, samples[f][random.IntN(len(samples[f]))])
				if agree(t, php, f, payload) {
					read++
				}
			}
			t.Logf("%d of %d could be read", read, payloads)
			if read == 0 || read == payloads {
				t.Errorf("%d of %d damaged payloads could be read: that proves nothing", read, payloads)
			}
		})
	}
}

// agree compares what PHP and Go make of a payload, and reports whether Go reads it.
func agree(t *testing.T, php *php, f Format, payload []byte) bool {
	t.Helper()
	answer, phpReads := php.echo(payload)
	values, err := Decode(f, payload)
	if err == nil && !phpReads && holdsObject(values) {
		return false // PHP knows the classes, and what they refuse
	}
	if errors.Is(err, ErrUnsupported) {
		return false // as documented
	}
	if (err == nil) != phpReads {
		t.Errorf("%q: PHP reads it: %v, Go: %v", payload, phpReads, err)
		return false
	}
	if err != nil {
		return false
	}
	ours, err := Encode(f, values)
	if err != nil {
		t.Errorf("%q: encode again: %v", payload, err)
		return false
	}
	// What PHP wrote is canonical; what Go kept as it was written becomes so on its way through PHP.
	if canonical, ok := php.echo(ours); !ok || string(canonical) != string(answer) {
		t.Errorf("%q\nPHP writes %q\nGo writes  %q", payload, answer, ours)
	}
	return true
}

func holdsObject(a *Array) bool {
	for _, e := range a.t.elements {
		switch v := plain(e.value).(type) {
		case *Object:
			return true
		case *Array:
			if holdsObject(v) {
				return true
			}
		}
	}
	return false
}

// damage changes some bytes.
func damage(random *rand.Rand, payload string) []byte {
	const likely = `0123456789:;|{}"aidbsSNORrCE+-.` + "\x00\x01\x02\x11\x14\x25"
	b := []byte(payload)
	for range 1 + random.IntN(3) {
		at := random.IntN(len(b))
		switch random.IntN(4) {
		case 0:
			b[at] = likely[random.IntN(len(likely))]
		case 1:
			b[at] = byte(random.IntN(256))
		case 2:
			b = append(b[:at], b[at+1:]...)
		case 3:
			b = append(b[:at], append([]byte{likely[random.IntN(len(likely))]}, b[at:]...)...)
		}
		if len(b) == 0 {
			return []byte(payload)
		}
	}
	return b
}

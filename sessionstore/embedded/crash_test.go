package embedded_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/sessionstore"
	"github.com/lvsession/lvsession/sessionstore/embedded"
)

// childFolder is the environment variable that makes the test program the victim of TestKill: a process that changes the
// store in this folder until it is killed.
const childFolder = "LVSESSION_TEST_EMBEDDED_CHILD"

// testSegments is the size of the journal's files in tests: they come to use some of them again.
const testSegments = 256 << 10

func TestMain(m *testing.M) {
	embedded.SetSegmentSize(testSegments)
	if dir := os.Getenv(childFolder); dir != "" {
		fmt.Fprintln(os.Stderr, "child:", victim(dir))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

// What the victim may have had acknowledged.
const (
	ackWrite byte = iota + 1
	ackDestroy
	ackLock
)

// ack is one acknowledged change, as the victim reports it over a pipe.
type ack struct {
	What byte
	Key  sessionstore.Key
	N    uint64 // version or fencing token
	Hash [sha256.Size]byte
}

const (
	victims   = 64  // goroutines
	hotKeys   = 500 // that all of them write
	longTimes = 24 * time.Hour
)

// victim changes the store with many goroutines and reports each acknowledged change on standard output, in one write
// smaller than what a pipe takes atomically.
func victim(dir string) error {
	s, err := embedded.Open(dir, embedded.Options{})
	if err != nil {
		return err
	}
	failed := make(chan error)
	for i := range victims {
		go func() { failed <- victimize(s, rand.New(rand.NewPCG(uint64(os.Getpid()), uint64(i)))) }()
	}
	return <-failed
}

func victimize(s *embedded.Store, rnd *rand.Rand) error {
	ctx := context.Background()
	for {
		a := ack{What: ackWrite, Key: sha256.Sum256(fmt.Append(nil, "hot ", rnd.IntN(hotKeys)))}
		payload := signedPayload(a.Key, rnd)
		a.Hash = sha256.Sum256(payload)
		var err error
		switch rnd.IntN(10) {
		case 0: // a session that is destroyed
			binary.BigEndian.PutUint64(a.Key[:], rnd.Uint64())
			if _, err = s.Write(ctx, a.Key, sessionstore.Write{Payload: payload, Idle: longTimes}); err == nil {
				a.What = ackDestroy
				err = s.Destroy(ctx, a.Key, longTimes)
			}
		case 1: // a lock that is held, and under which something was written
			binary.BigEndian.PutUint64(a.Key[:], rnd.Uint64())
			a.What = ackLock
			var l sessionstore.Lease
			if l, err = s.Lock(ctx, a.Key, sessionstore.Lock{TTL: longTimes}); err == nil {
				a.N = l.Token
				_, err = s.Write(ctx, a.Key, sessionstore.Write{Payload: payload, Idle: longTimes, Token: l.Token})
			}
		default:
			a.N, err = s.Write(ctx, a.Key, sessionstore.Write{Payload: payload, Idle: longTimes, IfVersion: sessionstore.AnyVersion})
		}
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := binary.Write(&b, binary.BigEndian, a); err != nil {
			return err
		}
		if _, err := os.Stdout.Write(b.Bytes()); err != nil {
			return err
		}
	}
}

// signedPayload returns bytes that tell whether they are whole, and of this key.
func signedPayload(key sessionstore.Key, rnd *rand.Rand) []byte {
	b := bytes.Repeat(binary.BigEndian.AppendUint64(nil, rnd.Uint64()), rnd.IntN(500))
	sum := sha256.Sum256(append(b, key[:]...))
	return append(b, sum[:]...)
}

func verifySigned(key sessionstore.Key, payload []byte) error {
	if len(payload) < sha256.Size {
		return fmt.Errorf("%v: a payload of %d bytes", key, len(payload))
	}
	b, sum := payload[:len(payload)-sha256.Size], payload[len(payload)-sha256.Size:]
	want := sha256.Sum256(append(bytes.Clone(b), key[:]...))
	if !bytes.Equal(sum, want[:]) {
		return fmt.Errorf("%v: a payload that nobody wrote", key)
	}
	return nil
}

// TestKill kills a process with -9 under write load, several times on the same folder, and finds every change that it
// had acknowledged.
func TestKill(t *testing.T) {
	rounds := 5
	if testing.Short() {
		rounds = 2
	}
	dir := t.TempDir()
	acks := map[sessionstore.Key]ack{}
	for round := range rounds {
		n := killOne(t, dir, 200+rand.IntN(3000), acks)
		s, err := embedded.Open(dir, embedded.Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		verifyAcks(t, s, acks)
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		t.Logf("round %d: killed after %d acknowledged changes, %d keys in all", round, n, len(acks))
	}
}

// killOne starts a victim, kills it once it has had a number of changes acknowledged, and notes the latest of each key.
func killOne(t *testing.T, dir string, after int, acks map[sessionstore.Key]ack) (total int) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), childFolder+"="+dir)
	child.Stderr = os.Stderr
	pipe, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	out := bufio.NewReader(pipe)
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	kill := func() { once.Do(func() { child.Process.Signal(syscall.SIGKILL) }) }
	defer kill()
	for {
		var a ack
		if err := binary.Read(out, binary.BigEndian, &a); err != nil {
			if !errors.Is(err, io.EOF) {
				t.Fatal(err)
			}
			break // all that it had written before it died has been read
		}
		if a.N >= acks[a.Key].N {
			acks[a.Key] = a
		}
		if total++; total == after {
			kill()
		}
	}
	var ended *exec.ExitError
	if err := child.Wait(); !errors.As(err, &ended) || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child was to die by kill -9, but: %v", err)
	}
	return total
}

// verifyAcks looks at everything that was ever acknowledged, with several goroutines since some of it takes a commit.
func verifyAcks(t *testing.T, s *embedded.Store, acks map[sessionstore.Key]ack) {
	t.Helper()
	work := make(chan ack)
	var wg sync.WaitGroup
	for range victims {
		wg.Go(func() {
			for a := range work {
				if err := verifyAck(t.Context(), s, a); err != nil {
					t.Errorf("%v: %v", a.Key, err)
				}
			}
		})
	}
	for _, a := range acks {
		work <- a
	}
	close(work)
	wg.Wait()
}

func verifyAck(ctx context.Context, s *embedded.Store, a ack) error {
	got, err := s.Read(ctx, a.Key)
	anyhow := sessionstore.Write{Idle: longTimes, IfVersion: sessionstore.AnyVersion}
	switch a.What {
	case ackWrite:
		if err != nil || got.Version < a.N {
			return fmt.Errorf("version %d was acknowledged; read version %d, %v", a.N, got.Version, err)
		}
		if got.Version == a.N && sha256.Sum256(got.Payload) != a.Hash {
			return fmt.Errorf("version %d is another than was acknowledged", a.N)
		}
		return verifySigned(a.Key, got.Payload)
	case ackDestroy:
		_, again := s.Write(ctx, a.Key, anyhow)
		if !errors.Is(err, sessionstore.ErrNotFound) || !errors.Is(again, sessionstore.ErrDestroyed) {
			return fmt.Errorf("its end was acknowledged; read: %v, write: %v", err, again)
		}
	case ackLock:
		_, err := s.Lock(ctx, a.Key, sessionstore.Lock{TTL: time.Second})
		if !errors.Is(err, sessionstore.ErrLocked) {
			return fmt.Errorf("a write under its lease was acknowledged; lock: %v", err)
		}
		anyhow.Token = a.N
		if _, err := s.Write(ctx, a.Key, anyhow); err != nil {
			return fmt.Errorf("write under its lease: %w", err)
		}
	}
	return nil
}

package archive

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/lvsession/lvsession/sessionstore"
)

// ErrDamaged: the archive is no archive, ends too early, goes on after its end, or its checksum is wrong.
var ErrDamaged = errors.New("the archive is damaged")

// Reader reads an archive. It needs memory for one session at a time, whatever the archive says.
type Reader struct {
	r     *bufio.Reader
	sum   hash.Hash
	count uint64
	begun bool
	err   error
}

// NewReader returns a Reader of an archive.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReaderSize(r, 1<<16), sum: sha256.New()}
}

// Next returns the next session, or io.EOF once the whole archive has been read and found whole: only then was what
// came before what someone exported. Errors wrap [ErrDamaged], or are the reader's. After an error there is no more.
func (a *Reader) Next() (s sessionstore.Session, err error) {
	if a.err != nil {
		return s, a.err
	}
	s, a.err = a.next()
	return s, a.err
}

func (a *Reader) next() (s sessionstore.Session, err error) {
	if !a.begun {
		a.begun = true
		if b, err := a.read(len(header)); err != nil || string(b) != header {
			return s, errors.Join(damaged("it does not begin as one"), err)
		}
	}
	b, err := a.read(4)
	if err != nil {
		return s, err
	}
	n := binary.BigEndian.Uint32(b)
	switch {
	case n == 0:
		return s, a.end()
	case n < fixedSize || n > maxRecord:
		return s, damaged("record %d has %d bytes", a.count+1, n)
	}
	if b, err = a.read(int(n)); err != nil {
		return s, err
	}
	a.count++
	if s, err = parse(b); err != nil {
		return sessionstore.Session{}, damaged("record %d: %v", a.count, err)
	}
	return s, nil
}

// read returns the next n bytes, which come before the checksum.
func (a *Reader) read(n int) ([]byte, error) {
	b := make([]byte, n)
	if err := fill(a.r, b); err != nil {
		return nil, err
	}
	a.sum.Write(b)
	return b, nil
}

func fill(r io.Reader, b []byte) error {
	_, err := io.ReadFull(r, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damaged("it ends too early: it was cut off, or never finished")
	}
	return err
}

// end checks what follows the end mark, and returns io.EOF if all is well.
func (a *Reader) end() error {
	b, err := a.read(8)
	if err != nil {
		return err
	}
	if n := binary.BigEndian.Uint64(b); n != a.count {
		return damaged("it has %d records and says %d", a.count, n)
	}
	sum := make([]byte, sha256.Size)
	if err := fill(a.r, sum); err != nil {
		return err
	}
	if !bytes.Equal(sum, a.sum.Sum(nil)) {
		return damaged("its checksum is wrong")
	}
	if _, err := a.r.ReadByte(); err == nil {
		return damaged("something follows its end")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return io.EOF
}

func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrDamaged, fmt.Sprintf(format, args...))
}

// parse undoes what Write makes of a session, without its length.
func parse(b []byte) (s sessionstore.Session, err error) {
	number := func(i int) uint64 { return binary.BigEndian.Uint64(b[32+8*i:]) }
	copy(s.Key[:], b)
	s.Version, s.Created, s.Expires = number(0), time.UnixMilli(int64(number(1))), time.UnixMilli(int64(number(2)))
	if n := number(3); n != 0 {
		s.Deadline = time.UnixMilli(int64(n))
	}
	copy(s.Subject[:], b[64:])
	s.Encoding = sessionstore.Encoding(b[fixedSize-2])
	n, rest := int(b[fixedSize-1]), b[fixedSize:]
	if n > len(rest) {
		return s, errors.New("it ends within its namespace")
	}
	s.Namespace, s.Payload = string(rest[:n]), rest[n:]
	return s, s.Check()
}

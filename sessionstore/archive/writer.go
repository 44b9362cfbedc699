package archive

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"

	"github.com/lvsession/lvsession/sessionstore"
)

const header = "lvsession archive 1\n"

// fixedSize is the length of a record without namespace and payload.
const fixedSize = 32 + 8*4 + 32 + 1 + 1

// maxRecord is the length of the longest record.
const maxRecord = fixedSize + sessionstore.MaxNamespaceLength + sessionstore.MaxPayload

// Writer writes an archive. It is used by one goroutine.
type Writer struct {
	w     *bufio.Writer
	sum   hash.Hash
	count uint64
	buf   []byte
	err   error
}

// NewWriter returns a Writer that has written the header.
func NewWriter(w io.Writer) *Writer {
	a := &Writer{w: bufio.NewWriterSize(w, 1<<16), sum: sha256.New()}
	a.write([]byte(header))
	return a
}

// Write adds a session.
func (a *Writer) Write(s sessionstore.Session) error {
	if err := s.Check(); err != nil {
		return fmt.Errorf("archive %v: %w", s.Key, err)
	}
	deadline := int64(0)
	if !s.Deadline.IsZero() {
		deadline = s.Deadline.UnixMilli()
	}
	b := binary.BigEndian.AppendUint32(a.buf[:0], uint32(fixedSize+len(s.Namespace)+len(s.Payload)))
	b = append(b, s.Key[:]...)
	for _, n := range [...]uint64{s.Version, uint64(s.Created.UnixMilli()), uint64(s.Expires.UnixMilli()), uint64(deadline)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = append(b, s.Subject[:]...)
	b = append(b, byte(s.Encoding), byte(len(s.Namespace)))
	b = append(b, s.Namespace...)
	b = append(b, s.Payload...)
	a.buf = b
	a.count++
	return a.write(b)
}

// Close writes the end. Without it the archive is not whole, and no reader takes it for one.
func (a *Writer) Close() error {
	a.write(binary.BigEndian.AppendUint64(make([]byte, 4, 12), a.count))
	a.write(a.sum.Sum(nil))
	if a.err == nil {
		a.err = a.w.Flush()
	}
	return a.err
}

func (a *Writer) write(b []byte) error {
	if a.err == nil {
		a.sum.Write(b)
		_, a.err = a.w.Write(b)
	}
	return a.err
}

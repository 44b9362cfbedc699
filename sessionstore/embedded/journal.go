package embedded

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// journalFolder is the folder of the journal's files within the store's.
const journalFolder = "journal"

// Sizes of the journal, in bytes.
const (
	extension  = 1 << 20 // by which a file that is not yet so long grows
	alignment  = 32      // of records
	headerSize = 32      // of a file's header, and of a record's
)

// segmentSize is the size of a file of the journal, in bytes. What a restart after a crash reads again is some two of them.
// Tests make it smaller.
var segmentSize int64 = 32 << 20

// journal is the log of changes that the engine has not yet written to its tables: what makes a change durable is here.
// The engine has a log of its own, which is off. Its appends pass through goroutines of its, and grow a file, so that
// each sync writes the file's metadata too; here the committer itself writes and syncs, into files that have their length
// already and are used over and over. That halves the time that a lone change takes.
//
// A file, a segment, begins with a header that tells its number and the sequence number of its first record. Records
// follow, each with the next sequence number and a checksum. What a file of an earlier use left behind a record differs
// in the segment's number. Every record also tells up to which one all were on disk when it was written: so a record that
// a crash tore can be told from one that was damaged later, namely by whether a later one relies on it.
//
// Only the committer uses a journal, but for sync.
type journal struct {
	fs    vfs.FS
	dir   string
	size  int64 // of a segment; a record that is larger has one to itself
	files []*segment
	next  uint64 // sequence number of the next record
	at    int64  // where it goes in the current segment
	buf   []byte

	mu     sync.Mutex
	cur    *segment
	last   uint64 // sequence number of the last record that was written
	synced uint64 // of the last one that is known to be on disk
}

// segment is a file of the journal.
type segment struct {
	file   vfs.File
	number uint64 // 0 for one that was not used yet
	first  uint64 // sequence number of its first record
	length int64  // of the file
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentMagic begins every segment; the last byte is the version of the layout.
const segmentMagic = "lvsjrnl\x01"

func (s *segment) header() (b [headerSize]byte) {
	copy(b[:8], segmentMagic)
	binary.BigEndian.PutUint64(b[8:], s.number)
	binary.BigEndian.PutUint64(b[16:], s.first)
	binary.BigEndian.PutUint32(b[28:], crc32.Checksum(b[:28], castagnoli))
	return b
}

// readHeader undoes header; a file of zeros, or none, is a segment that was not used yet.
func (s *segment) readHeader(b []byte) error {
	if len(b) < headerSize || [headerSize]byte(b) == ([headerSize]byte{}) {
		return nil
	}
	if string(b[:8]) != segmentMagic || binary.BigEndian.Uint32(b[28:]) != crc32.Checksum(b[:28], castagnoli) {
		return errors.New("its header is wrong")
	}
	s.number, s.first = binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	if s.number == 0 || s.first == 0 {
		return errors.New("its header is wrong")
	}
	return nil
}

// recordHeader precedes a record's content.
type recordHeader struct {
	size    uint32
	seq     uint64
	synced  uint64 // all records up to this one were on disk
	segment uint32 // the lower half of the segment's number
}

// put writes the header of a record whose content follows it in b.
func (h recordHeader) put(b []byte) {
	binary.BigEndian.PutUint32(b[4:], h.size)
	binary.BigEndian.PutUint64(b[8:], h.seq)
	binary.BigEndian.PutUint64(b[16:], h.synced)
	binary.BigEndian.PutUint32(b[24:], h.segment)
	binary.BigEndian.PutUint32(b[28:], 0)
	binary.BigEndian.PutUint32(b, crc32.Checksum(b[4:headerSize+int(h.size)], castagnoli))
}

// readJournalRecord returns the record at the front of b; ok is false if there is no whole one of this segment.
func readJournalRecord(b []byte, segment uint64) (h recordHeader, content []byte, ok bool) {
	if len(b) < headerSize {
		return h, nil, false
	}
	h = recordHeader{
		size: binary.BigEndian.Uint32(b[4:]), seq: binary.BigEndian.Uint64(b[8:]), synced: binary.BigEndian.Uint64(b[16:]),
		segment: binary.BigEndian.Uint32(b[24:]),
	}
	if h.segment != uint32(segment) || h.size == 0 || uint64(h.size) > uint64(len(b)-headerSize) {
		return h, nil, false
	}
	content = b[headerSize : headerSize+int(h.size)]
	return h, content, binary.BigEndian.Uint32(b) == crc32.Checksum(b[4:headerSize+int(h.size)], castagnoli)
}

// aligned rounds a size up to where a record can begin.
func aligned(n int64) int64 { return (n + alignment - 1) / alignment * alignment }

// openJournal opens the journal in a store's folder and has replay apply each record after the one with the sequence
// number done, in order. Nothing is written but the folder, if it is missing. It begins a segment with the next append.
func openJournal(fs vfs.FS, dir string, done uint64, replay func(seq uint64, content []byte) error) (j *journal, err error) {
	j = &journal{fs: fs, dir: filepath.Join(dir, journalFolder), size: segmentSize}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("journal: %w", err), j.close())
			j = nil
		}
	}()
	if err := makeFolder(j.dir, fs); err != nil {
		return j, err
	}
	names, err := fs.List(j.dir)
	if err != nil {
		return j, err
	}
	slices.Sort(names)
	for _, name := range names {
		if strings.HasSuffix(name, ".log") {
			if err := j.openSegment(name); err != nil {
				return j, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	slices.SortFunc(j.files, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	last, err := j.replay(done, replay)
	if err != nil {
		return j, err
	}
	j.next, j.last, j.synced = last+1, last, last
	return j, nil
}

func (j *journal) openSegment(name string) error {
	file, err := j.fs.OpenReadWrite(filepath.Join(j.dir, name), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	s := &segment{file: file}
	j.files = append(j.files, s)
	info, err := file.Stat()
	if err != nil {
		return err
	}
	s.length = info.Size()
	var b [headerSize]byte
	if s.length < headerSize {
		return nil // nothing was ever acknowledged in it
	}
	if _, err := file.ReadAt(b[:], 0); err != nil {
		return err
	}
	if err := s.readHeader(b[:]); err != nil {
		return fmt.Errorf("%w: %w", errDamaged, err)
	}
	return nil
}

var errDamaged = errors.New("the store is damaged")

// replay applies what follows the record done and returns the sequence number of the last record.
func (j *journal) replay(done uint64, apply func(seq uint64, content []byte) error) (last uint64, err error) {
	from := -1
	for i, s := range j.files {
		if s.number != 0 && s.first <= done+1 {
			from = i
		}
	}
	if from < 0 {
		if n := len(j.files); n > 0 && j.files[n-1].number != 0 {
			return 0, fmt.Errorf("%w: the journal begins at record %d, which does not follow %d", errDamaged, j.files[n-1].first, done)
		}
		return done, nil
	}
	next := j.files[from].first
	for i, s := range j.files[from:] {
		if i > 0 && (s.number != j.files[from+i-1].number+1 || s.first != next) {
			return 0, fmt.Errorf("%w: records from %d to %d are missing in the journal", errDamaged, next, s.first)
		}
		if next, err = s.replay(next, done, apply); err != nil {
			return 0, err
		}
	}
	return max(next-1, done), nil // the engine may have written what the journal had not yet synced
}

// replay applies the segment's records after done and returns the sequence number that should follow.
func (s *segment) replay(next, done uint64, apply func(seq uint64, content []byte) error) (uint64, error) {
	b := make([]byte, s.length)
	if _, err := s.file.ReadAt(b, 0); err != nil {
		return 0, err
	}
	at := int64(headerSize)
	for at < int64(len(b)) {
		h, content, ok := readJournalRecord(b[at:], s.number)
		if !ok || h.seq != next {
			break
		}
		if next > done {
			if err := apply(next, content); err != nil {
				return 0, err
			}
		}
		next++
		at += aligned(headerSize + int64(h.size))
	}
	for ; at < int64(len(b)); at += alignment {
		if h, _, ok := readJournalRecord(b[at:], s.number); ok && h.seq > next && h.synced >= max(next, done+1) {
			return 0, fmt.Errorf("%w: record %d of the journal, which was on disk", errDamaged, max(next, done+1))
		}
	}
	return next, nil
}

// room makes the next append of so many bytes fit, by going on to another segment if need be. reusable tells how far the
// engine needs no record any more. switched tells that there was a segment before.
func (j *journal) room(size int, reusable uint64) (switched bool, err error) {
	if j.cur != nil && j.at+headerSize+int64(size) <= j.size {
		return false, nil
	}
	if err := j.sync(); err != nil {
		return false, err
	}
	number := uint64(1)
	for _, s := range j.files {
		number = max(number, s.number+1)
	}
	s, err := j.spare(reusable)
	if err != nil {
		return false, err
	}
	s.number, s.first = number, j.next
	slices.SortFunc(j.files, func(a, b *segment) int { return cmp.Compare(a.number, b.number) })
	j.mu.Lock()
	defer j.mu.Unlock()
	switched = j.cur != nil
	j.cur, j.at = s, 0
	return switched, nil
}

// spare returns a segment that nobody needs any more, or a new one.
func (j *journal) spare(reusable uint64) (*segment, error) {
	for i, s := range j.files { // in order of their numbers
		if s.number == 0 || i+1 < len(j.files) && j.files[i+1].first <= reusable+1 {
			return s, nil
		}
	}
	name := filepath.Join(j.dir, fmt.Sprintf("%03d.log", len(j.files)+1))
	file, err := j.fs.OpenReadWrite(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	dir, err := j.fs.OpenDir(j.dir)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s := &segment{file: file}
	j.files = append(j.files, s)
	return s, nil
}

// append writes a record with the next sequence number, for which room has been called. After an error that is
// [syscall.ENOSPC] nothing was written that counts, and append may be called again; after any other the journal is of no
// more use.
func (j *journal) append(content []byte) error {
	b := j.buf[:0]
	if j.at == 0 {
		header := j.cur.header()
		b = append(b, header[:]...)
	}
	from := len(b)
	b = append(b, make([]byte, headerSize)...)
	b = append(b, content...)
	if j.buf = b; cap(b) > extension {
		j.buf = nil
	}
	h := recordHeader{size: uint32(len(content)), seq: j.next, synced: j.syncedTo(), segment: uint32(j.cur.number)}
	h.put(b[from:])
	j.extend(j.at + int64(len(b)))
	if _, err := j.cur.file.WriteAt(b, j.at); err != nil {
		return err
	}
	j.at = aligned(j.at + int64(len(b)))
	j.cur.length = max(j.cur.length, j.at)
	j.mu.Lock()
	j.last = j.next
	j.mu.Unlock()
	j.next++
	return nil
}

// extend makes the current file so long, and some more, by zeros: a sync of what is written over them need not write
// that the file has grown. Where there is no room, the record itself may still fit.
func (j *journal) extend(to int64) {
	s := j.cur
	if to <= s.length {
		return
	}
	end := min((to+extension-1)/extension*extension, max(j.size, to))
	n, err := s.file.WriteAt(zeros[:min(end-s.length, extension)], s.length)
	s.length += int64(n)
	for err == nil && s.length < end {
		n, err = s.file.WriteAt(zeros[:min(end-s.length, extension)], s.length)
		s.length += int64(n)
	}
}

var zeros [extension]byte

func (j *journal) syncedTo() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.synced
}

// sync returns once all that was appended is on disk. Anyone may call it at any time.
func (j *journal) sync() error {
	j.mu.Lock()
	cur, last, synced := j.cur, j.last, j.synced
	j.mu.Unlock()
	if cur == nil || last == synced {
		return nil
	}
	if err := cur.file.SyncData(); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.synced = max(j.synced, last)
	return nil
}

func (j *journal) close() error {
	var errs []error
	for _, s := range j.files {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

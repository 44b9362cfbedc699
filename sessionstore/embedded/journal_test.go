package embedded

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// journalRun is a journal under test, and the engine behind it: how many records that one has written to its tables.
type journalRun struct {
	disk *vfs.MemFS
	j    *journal
	all  [][]byte // the content of each record
	done uint64
	sure uint64 // the last record that was synced
}

func (r *journalRun) open(disk *vfs.MemFS) error {
	var got [][]byte
	j, err := openJournal(disk, "/", r.done, func(seq uint64, content []byte) error {
		if seq != r.done+uint64(len(got))+1 {
			return errors.New("out of order")
		}
		got = append(got, bytes.Clone(content))
		return nil
	})
	if err != nil {
		return err
	}
	if j.last < r.sure || j.last > uint64(len(r.all)) {
		return errors.New("records were lost, or made up")
	}
	for i, content := range got {
		if !bytes.Equal(content, r.all[int(r.done)+i]) {
			return errors.New("a record has changed")
		}
	}
	j.size = 4 << 10
	r.disk, r.j, r.all = disk, j, r.all[:j.last]
	r.done, r.sure = j.last, j.last // the engine has all now, in its tables
	return nil
}

func (r *journalRun) append(content []byte) error {
	if _, err := r.j.room(len(content), r.done); err != nil {
		return err
	}
	if err := r.j.append(content); err != nil {
		return err
	}
	r.all = append(r.all, content)
	return nil
}

// TestJournal: after a loss of power, with any part of what was not synced on disk, the journal has each record that was
// synced, in order, and none that nobody wrote; and it goes on from there, also over files of earlier uses.
func TestJournal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := &journalRun{}
		if err := r.open(vfs.NewCrashableMem()); err != nil {
			t.Fatal(err)
		}
		seed := rapid.Uint64().Draw(t, "seed")
		rnd := rand.New(rand.NewPCG(seed, 1))
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0, 1, 2:
				content := make([]byte, rapid.IntRange(1, 3000).Draw(t, "size"))
				for i := range content {
					content[i] = byte(rnd.Uint32())
				}
				content[0] = byte(len(r.all))
				if err := r.append(content); err != nil {
					t.Fatal(err)
				}
			case 3:
				if err := r.j.sync(); err != nil {
					t.Fatal(err)
				}
				r.sure = uint64(len(r.all))
			case 4: // the engine writes its tables; a crash may find that it had records which the journal has not
				r.done = uint64(rapid.IntRange(int(r.done), len(r.all)).Draw(t, "done"))
				r.sure = max(r.sure, r.done)
			case 5:
				percent := rapid.SampledFrom([]int{0, 50, 100}).Draw(t, "percent")
				after := r.disk.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rnd})
				if err := r.j.close(); err != nil {
					t.Fatal(err)
				}
				if err := r.open(after); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := r.j.close(); err != nil {
			t.Error(err)
		}
	})
}

// TestJournalDamage: a record that was on disk and is damaged is told from one that a crash tore.
func TestJournalDamage(t *testing.T) {
	for _, c := range []struct {
		name   string
		sync   bool   // after each record
		done   uint64 // records that the engine has
		damage int    // the record that is damaged, from 1
		want   uint64 // the last record then; 0 for an error
	}{
		{"the last record", true, 0, 5, 4},
		{"one before it", true, 0, 4, 0},
		{"one that nothing relies on", false, 0, 2, 1},
		{"one that the engine has", true, 5, 2, 5},
		{"one behind those that it has", true, 2, 3, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := vfs.NewMem()
			r := &journalRun{}
			if err := r.open(disk); err != nil {
				t.Fatal(err)
			}
			var at []int64
			for i := range 5 {
				if err := r.append(bytes.Repeat([]byte{byte(i)}, 100)); err != nil {
					t.Fatal(err)
				}
				at = append(at, r.j.at)
				if c.sync {
					if err := r.j.sync(); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := r.j.close(); err != nil {
				t.Fatal(err)
			}
			file, err := disk.OpenReadWrite(filepath.Join("/", journalFolder, "001.log"), vfs.WriteCategoryUnspecified)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := file.WriteAt([]byte{0xff, 0xff}, at[c.damage-1]-alignment); err != nil {
				t.Fatal(err)
			}
			if err := file.Close(); err != nil {
				t.Fatal(err)
			}
			j, err := openJournal(disk, "/", c.done, func(uint64, []byte) error { return nil })
			if c.want == 0 {
				if !errors.Is(err, errDamaged) {
					t.Fatalf("%v, want it to be damaged", err)
				}
				return
			}
			if err != nil || j.last != c.want {
				t.Fatalf("%v", err)
			}
			if err := j.close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzJournal: whatever lies in a file of the journal, reading it ends, and what is read was checked.
func FuzzJournal(f *testing.F) {
	s := segment{number: 1, first: 1}
	header := s.header()
	record := make([]byte, headerSize+10)
	recordHeader{size: 10, seq: 1, segment: 1}.put(record)
	f.Add(append(header[:], record...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		disk := vfs.NewMem()
		if err := disk.MkdirAll("/"+journalFolder, 0o700); err != nil {
			t.Fatal(err)
		}
		file, err := disk.Create("/"+journalFolder+"/001.log", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write(b); err != nil {
			t.Fatal(err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		records := uint64(0)
		j, err := openJournal(disk, "/", 0, func(uint64, []byte) error { records++; return nil })
		if err != nil {
			return
		}
		if j.last != records {
			t.Errorf("%d records, the last is %d", records, j.last)
		}
		if err := j.close(); err != nil {
			t.Error(err)
		}
	})
}

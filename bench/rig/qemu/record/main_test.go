package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/qemu"
	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

const root = "../../../.."

var all = flag.Bool("all", false, "replay every scenario of the recordings, not only the first of each file")

// sample is how many scenarios of each file are replayed otherwise: all take minutes.
const sample = 2

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRecordings runs scenarios again: what the repository says of IPVS is what it does.
func TestRecordings(t *testing.T) {
	paths, err := files(root)
	if err != nil {
		t.Fatal(err)
	}
	guest := qemu.Start(t)
	if err := guest.Install(t.Context(), playerPackage); err != nil {
		t.Fatal(err)
	}
	var files []*recording.File
	for _, path := range paths {
		file, err := recording.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if !*all {
			file.Scenarios = file.Scenarios[:min(sample, len(file.Scenarios))]
		}
		files = append(files, file)
	}
	now, err := replay(t.Context(), guest, paths, files)
	if err != nil {
		t.Error(err)
	}
	for i, path := range paths {
		t.Run(strings.TrimPrefix(path, root+"/"+Recordings+"/"), func(t *testing.T) {
			if now[i] == nil {
				t.Fatal("was not replayed")
			}
			for j, s := range files[i].Scenarios {
				want, got := text(s), text(now[i].Scenarios[j])
				if got != want {
					t.Errorf("recorded:\n%s\nnow:\n%s", want, got)
				}
			}
		})
	}
}

// TestRecordingsAreFormatted needs no guest: a file says what its format would write, or record changes it by the way.
func TestRecordingsAreFormatted(t *testing.T) {
	paths, err := files(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		file, err := recording.Read(path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, recording.Format(file)) {
			t.Errorf("%s is not formatted as record does", path)
		}
	}
}

func text(s recording.Scenario) string {
	return string(recording.Format(&recording.File{Scenarios: []recording.Scenario{s}}))
}

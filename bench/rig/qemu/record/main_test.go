package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/lvsession/lvsession/bench/rig/qemu"
	"github.com/lvsession/lvsession/bench/rig/qemu/recording"
)

const root = "../../../.."

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRecordings runs every scenario again: what the repository says of IPVS is what it does.
func TestRecordings(t *testing.T) {
	paths, err := files(root)
	if err != nil {
		t.Fatal(err)
	}
	guest := qemu.Start(t)
	if err := guest.Install(t.Context(), playerPackage); err != nil {
		t.Fatal(err)
	}
	now, err := replay(t.Context(), guest, paths)
	if err != nil {
		t.Fatal(err)
	}
	for i, path := range paths {
		t.Run(strings.TrimPrefix(path, root+"/"+Recordings+"/"), func(t *testing.T) {
			old, err := recording.Read(path)
			if err != nil {
				t.Fatal(err)
			}
			for j, s := range old.Scenarios {
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

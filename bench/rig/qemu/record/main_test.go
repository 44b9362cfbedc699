package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
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

// tries is how often a file that differs is played again: in an emulated guest on a busy machine, a connection may end after
// the next one began, and IPVS counts both.
const tries = 4

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
		t.Log(err)
	}
	for i, path := range paths {
		t.Run(strings.TrimPrefix(path, root+"/"+Recordings+"/"), func(t *testing.T) {
			played := now[i]
			for try := 0; try < tries && (played == nil || !slices.EqualFunc(files[i].Scenarios, played.Scenarios, same)); try++ {
				played = playAlone(t, guest, path, files[i])
			}
			if len(played.Scenarios) != len(files[i].Scenarios) {
				t.Fatalf("%d of %d scenarios were played", len(played.Scenarios), len(files[i].Scenarios))
			}
			for j, s := range files[i].Scenarios {
				if !same(s, played.Scenarios[j]) {
					t.Errorf("recorded:\n%s\nnow:\n%s", text(s), text(played.Scenarios[j]))
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

// playAlone plays a file again with no other beside it. The kernel (6.1, ip_vs_genl_dump_services) counts the services of all
// network namespaces to find where a listing goes on, so a service that another scenario adds in the meantime makes one
// appear twice.
func playAlone(t *testing.T, guest *qemu.Guest, path string, file *recording.File) *recording.File {
	t.Helper()
	t.Log("differs beside other scenarios; once more, alone")
	played, err := play(t.Context(), guest, filepath.Base(filepath.Dir(path)), file)
	if err != nil {
		t.Fatal(err)
	}
	return played
}

func same(a, b recording.Scenario) bool { return text(a) == text(b) }

func text(s recording.Scenario) string {
	return string(recording.Format(&recording.File{Scenarios: []recording.Scenario{s}}))
}

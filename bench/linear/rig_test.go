package linear_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/linear"
	"github.com/lvsession/lvsession/bench/rig/ndbcluster"
	"github.com/lvsession/lvsession/bench/rig/need"
)

// TestKillsUnderLoad checks histories against two sessiond on NDB while SQL nodes and a data node are killed. More seeds and
// kills: go run ./bench/linear/lincheck
func TestKillsUnderLoad(t *testing.T) {
	killsUnderLoad(t, [][]string{{"sql1", "data2"}, {"sql2"}})
}

// TestAPIKills is the same with sessiond on the NDB API, and with one on it and one on SQL.
func TestAPIKills(t *testing.T) {
	if _, err := ndbcluster.BuildEnv(); err != nil {
		need.Skip(t, err.Error())
	}
	for _, test := range []struct {
		name   string
		stores []string
		kills  []string
	}{
		{"both", []string{linear.OnAPI}, []string{"data2", "mgmd"}},
		{"and SQL", []string{linear.OnAPI, linear.OnSQL}, []string{"data1"}},
	} {
		t.Run(test.name, func(t *testing.T) { killsUnderLoad(t, [][]string{test.kills}, test.stores...) })
	}
}

func killsUnderLoad(t *testing.T, kills [][]string, stores ...string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	rig, err := linear.StartRig(ctx, t.TempDir(), stores...)
	if errors.Is(err, ndbcluster.ErrNoKit) {
		need.Skip(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(rig.Stop)
	const least = 3000 // operations for each seed, however slow the machine
	for seed, kills := range kills {
		h, err := linear.Run(ctx, linear.Config{
			Seed: uint64(seed), Sessions: rig.Sessions(), Operations: least, Pause: 30 * time.Millisecond, Disturb: rig.Kills(600, t.Logf, kills...),
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := rig.Check(); err != nil {
			t.Error(err)
		}
		found, err := linear.Check(h, each, 5)
		if err != nil {
			t.Error(err)
		}
		for i, v := range found {
			t.Errorf("%v", v)
			// Kept where go test is told -artifacts.
			if err := v.Visualize(filepath.Join(t.ArtifactDir(), fmt.Sprintf("violation-%d-%d.html", seed, i))); err != nil {
				t.Error(err)
			}
		}
		total, by := h.Counts()
		t.Logf("seed %d: %d operations on %d sessions: %v", seed, total, len(h.Sessions()), by)
		if total < least {
			t.Errorf("seed %d: only %d operations", seed, total)
		}
	}
}

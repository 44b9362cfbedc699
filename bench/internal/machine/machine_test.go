package machine

import (
	"testing"
	"time"
)

func TestAsk(t *testing.T) {
	f := Ask()
	if f.System == "" || f.Cores < 1 || f.MemoryMiB < 64 || f.Go == "" || f.Load < 0 {
		t.Errorf("this machine is %+v", f)
	}
}

func TestBusy(t *testing.T) {
	got, err := busy("cpu  1 2 4 1000 2000 8 16 5000 0 0\ncpu0 1 1 1 1 1 1 1 1\n")
	if err != nil || got != 310*time.Millisecond {
		t.Errorf("got %v, %v", got, err)
	}
	for _, text := range []string{"", "cpu 1 2 3", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 x 7 8"} {
		if _, err := busy(text); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	before, err := Busy()
	if err != nil {
		t.Fatal(err)
	}
	for began := time.Now(); time.Since(began) < time.Minute; {
		if after, _ := Busy(); after > before {
			return
		}
	}
	t.Error("a minute of work is not there")
}

package proc

import (
	"os"
	"testing"
)

func TestOwnProcess(t *testing.T) {
	for n := 0; CPU(os.Getpid()) == 0; n++ { // spend some
		if n > 1<<20 {
			t.Fatal("this process has spent no time")
		}
		os.Getpid()
	}
	if got := Resident(os.Getpid()); got < 1<<20 {
		t.Errorf("this process has %d bytes", got)
	}
	if CPU(-1) != 0 || Resident(-1) != 0 {
		t.Error("there is a process -1")
	}
}

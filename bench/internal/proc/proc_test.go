package proc

import (
	"os"
	"slices"
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
	if ran, cpu := Ran(os.Getpid()), CPU(os.Getpid()); ran <= 0 || ran < cpu/2 {
		t.Errorf("the threads of this process ran %v, and all %v", ran, cpu)
	}
	if !slices.Contains(Named("proc.test"), os.Getpid()) || len(Named("no process is named")) > 0 {
		t.Error("this process is not found by its name, or others are")
	}
	if CPU(-1) != 0 || Ran(-1) != 0 || Resident(-1) != 0 {
		t.Error("there is a process -1")
	}
}

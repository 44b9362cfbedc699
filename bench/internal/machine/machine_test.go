package machine

import "testing"

func TestAsk(t *testing.T) {
	f := Ask()
	if f.System == "" || f.Cores < 1 || f.MemoryMiB < 64 || f.Go == "" || f.Load < 0 {
		t.Errorf("this machine is %+v", f)
	}
}

package convert_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/bench/rig/need"
	"github.com/lvsession/lvsession/lvsproxy/config"
	"github.com/lvsession/lvsession/lvsproxy/convert"
	"github.com/lvsession/lvsession/lvsproxy/ipvsadm"
)

// TestLikeLdirectord compares our rules with the arguments that the real ldirectord gives ipvsadm. One kind of line is not
// among them: for masq without a port ldirectord writes port 0, which IPVS takes for the service's, and we write that.
func TestLikeLdirectord(t *testing.T) {
	files := []string{
		"virtual=10.0.0.1:80\n\treal=10.0.0.2->10.0.0.4:8080 masq 3\n\treal=10.0.0.9:80 gate l:5 u:10\n\n",
		"virtual=10.0.0.1:80\n\tscheduler=sh\n\tschedflags=sh-fallback,sh-port\n\treal=10.0.0.2 ipip\n\n",
		"virtual=10.0.0.1:80\n\tpersistent=600\n\tnetmask=255.255.255.0\n\treal=10.0.0.2:80 masq 0\n\n",
		"virtual=10.0.0.1:443\n\tpersistent=60\n\treal=10.0.0.2:443 gate 2147483647\n\n",
		"virtual=10.0.0.1:53\n\tops=yes\n\treal=10.0.0.2:53 masq\n\nvirtual=10.0.0.1:53\n\tprotocol=tcp\n\tops=yes\n\treal=10.0.0.2:53 masq\n\n",
		"virtual=10.0.0.1:0\n\tpersistent=60\n\treal=10.0.0.2 gate\n\n",
		"virtual=7\n\tpersistent=60\n\treal=10.0.0.2 gate\n\treal=10.0.0.3:81 masq\n\n",
		"virtual6=7\n\treal6=[2001:db8::2] gate\n\n",
		"virtual6=[2001:DB8:0::1]:80\n\tpersistent=60\n\tnetmask=64\n\treal6=[2001:db8::2]:8080 masq\n\n",
		"virtual=10.0.0.1:25\n\tscheduler=mh\n\tschedflags=mh-port\n\treal=10.0.0.2:8080 gate\n\n",
	}
	for i, theirs := range ldirectordCommands(t, files) {
		f, err := config.Parse("t.cf", []byte(files[i]), numbers{})
		if err != nil {
			t.Errorf("%v in\n%s", err, files[i])
			continue
		}
		var ours []string
		for _, c := range convert.Rules(f.Spec, convert.Up) {
			ours = append(ours, strings.Join(c.Args(), " "))
		}
		for j := range theirs { // in one form: ipvsadm decides what a line means
			c, err := ipvsadm.Parse("ipvsadm", strings.Fields(theirs[j]), numbers{})
			if err != nil {
				t.Fatalf("%s: %v", theirs[j], err)
			}
			theirs[j] = strings.Join(c.Args(), " ")
		}
		if a, b := strings.Join(ours, "\n"), strings.Join(theirs, "\n"); a != b {
			t.Errorf("ours\n%s\nldirectord's\n%s\nfor\n%s", a, b, files[i])
		}
	}
}

// ldirectordCommands returns for each file the command lines of ldirectord, which must accept them all.
func ldirectordCommands(t *testing.T, files []string) (commands [][]string) {
	t.Helper()
	program, perl := need.Program(t, "ldirectord", "ldirectord"), need.Program(t, "perl", "perl")
	dir := t.TempDir()
	var paths []string
	for i, text := range files {
		path := filepath.Join(dir, string(rune('a'+i))+".cf")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	cmd := exec.Command(perl, "../config/testdata/ldirectord.pl", program, paths[0])
	cmd.Env = append(os.Environ(), "LDIRECTORD_COMMANDS=1")
	cmd.Stdin = strings.NewReader(strings.Join(paths, "\n") + "\n")
	out, err := cmd.Output()
	if len(out) == 0 {
		t.Fatalf("ldirectord says nothing: %v", err)
	}
	for i, line := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		var answer struct {
			Commands []string
			Refused  string
		}
		if err := json.Unmarshal([]byte(line), &answer); err != nil || answer.Refused != "" {
			t.Fatalf("%v %s in\n%s", err, answer.Refused, files[i])
		}
		commands = append(commands, answer.Commands)
	}
	if len(commands) != len(files) {
		t.Fatalf("%d answers for %d files", len(commands), len(files))
	}
	return commands
}

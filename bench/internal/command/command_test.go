package command

import "testing"

func TestLine(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "go run ./bench/php"},
		{[]string{"--rounds", "3", "--json", "x.json", "--ndb=false"}, "go run ./bench/php --rounds 3 --ndb=false"},
		{[]string{"-json=x.json", "--html", "/x.html", "--only", "a|b's"}, `go run ./bench/php --only 'a|b'\''s'`},
	} {
		if got := Line("go run ./bench/php", c.args); got != c.want {
			t.Errorf("%q: %s, want %s", c.args, got, c.want)
		}
	}
}

package resp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/lvsession/lvsession/sessionstore/memory"
	"github.com/lvsession/lvsession/sessionstore/resp"
)

// scanAll returns the stand-ins of all keys that match.
func (c *client) scanAll(match string) (all []string) {
	c.Helper()
	for cursor := "0"; ; {
		answer := c.do("SCAN " + cursor + " MATCH " + match + " COUNT 7")
		cursor, answer, _ = strings.Cut(strings.Trim(answer, "[]"), " ")
		cursor = strings.Trim(cursor, `"`)
		for field := range strings.FieldsSeq(strings.Trim(answer, "[]")) {
			all = append(all, strings.Trim(field, `"`))
		}
		if cursor == "0" {
			return all
		}
	}
}

func TestScan(t *testing.T) {
	f := start(t, memory.New(nil), resp.Options{}, nil)
	c := f.dial()
	for i := range 30 {
		c.want(fmt.Sprintf("SET sess:%d v%d EX 60", i, i), "OK")
		c.want(fmt.Sprintf("HSET cart:%d n %d", i, i), "1")
	}
	c.want("SETEX "+phpSession+" 60 php", "OK")
	c.want("SET gone v", "OK")
	c.want("DEL gone", "1")
	c.want("SELECT 1", "OK")
	c.want("SET sess:other v", "OK")
	c.want("DBSIZE", "1")
	c.want("SELECT 0", "OK")

	names := c.scanAll("sess:*")
	if len(names) != 30 {
		t.Fatalf("%d keys: %v", len(names), names)
	}
	c.send(append([]string{"MGET"}, names...)...)
	if got := c.answer(); strings.Count(got, `"v`) != 30 {
		t.Fatalf("MGET: %s", got)
	}
	if all := c.scanAll("*"); len(all) != 61 {
		t.Errorf("%d keys in all", len(all))
	}
	php := c.scanAll("PHPREDIS_SESSION:*")
	if len(php) != 1 {
		t.Fatalf("%v", php)
	}
	c.want("GET "+php[0], `"php"`)
	c.want("HGET "+c.scanAll("cart:*")[0]+" n", c.do("HGET "+c.scanAll("cart:*")[0]+" n"))
	c.send(append([]string{"DEL"}, names...)...)
	if got := c.answer(); got != "30" {
		t.Errorf("DEL: %s", got)
	}
	c.want("EXISTS sess:3", "0")
	for c.do("DBSIZE") != "31" { // what was removed this very millisecond counts
	}
	c.want("SELECT 1", "OK")
	c.want("GET "+php[0], "nil") // of another namespace
	c.wantFails("SCAN 99", "ERR invalid cursor")
	c.wantFails("SCAN x", "ERR invalid cursor")
	c.wantFails("SCAN 0 COUNT 0", "ERR syntax error")
	c.wantFails("SCAN 0 COUNT", "ERR syntax error")
	c.want("SCAN 0 TYPE hash COUNT 1000", `["0" []]`)
}

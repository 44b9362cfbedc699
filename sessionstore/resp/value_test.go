package resp

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/lvsession/lvsession/sessionstore"
)

func TestValueRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v := value{prefix: rapid.StringMatching(`[a-z:]{0,20}`).Draw(t, "prefix"), typ: stringy}
		if rapid.Bool().Draw(t, "hash") {
			v.typ = hashy
			for _, name := range rapid.SliceOfNDistinct(rapid.String(), 1, 9, rapid.ID[string]).Draw(t, "fields") {
				v.set([]byte(name), []byte(rapid.String().Draw(t, "value")))
			}
		} else {
			v.str = []byte(rapid.String().Draw(t, "value"))
		}
		got, err := decodeValue(v.encode())
		if err != nil || fmt.Sprint(got) != fmt.Sprint(v) {
			t.Fatalf("%v, %v, want %v", got, err, v)
		}
	})
}

func FuzzValue(f *testing.F) {
	f.Add([]byte{0, 0xf5, 1, 0, 'x'})
	f.Add([]byte{0, 0xf5, 2, 1, ':', 1, 'a', 1, 'b'})
	f.Add([]byte{0, 0xf5, 0, 0})
	f.Fuzz(func(t *testing.T, payload []byte) {
		v, err := decodeValue(payload)
		if err != nil {
			return
		}
		again, err := decodeValue(v.encode())
		if err != nil || fmt.Sprint(again) != fmt.Sprint(v) {
			t.Fatalf("%v, then %v, %v", v, again, err)
		}
	})
}

func TestNames(t *testing.T) {
	n := names{prefixes: []string{"PHPREDIS_SESSION:", "sid/"}, standIns: newStandIns()}
	id := strings.Repeat("a", 32)
	want := func(key string, kind kind, of sessionstore.Key) {
		t.Helper()
		got, ok := n.name("shop", []byte(key))
		if !ok || got.kind != kind || got.key != of {
			t.Errorf("%.80q: %v %v, want %v %v", key, got.kind, got.key, kind, of)
		}
	}
	its := sessionstore.NewKey("shop", id)
	want("PHPREDIS_SESSION:"+id, session, its)
	want("sid/"+id, session, its)
	want("PHPREDIS_SESSION:"+id+"_LOCK", leaseKey, its)
	want(id, plain, plainName("shop", []byte(id)).key)
	want("PHPREDIS_SESSION:short", plain, plainName("shop", []byte("PHPREDIS_SESSION:short")).key)
	want("cart_LOCK", leaseKey, plainName("shop", []byte("cart")).key)
	want("cart_LOCK_LOCK", plain, plainName("shop", []byte("cart_LOCK_LOCK")).key)
	want("_LOCK", plain, plainName("shop", []byte("_LOCK")).key)
	if plainName("shop", []byte(id)).key == its {
		t.Error("a plain key meets a session")
	}
	for _, key := range []string{"", strings.Repeat("x", maxKey+1)} {
		if _, ok := n.name("shop", []byte(key)); ok {
			t.Errorf("a key of %d bytes was taken", len(key))
		}
	}
	if got := plainName("shop", []byte("app:sess:secret")).prefix; got != "app:sess:" {
		t.Errorf("prefix %q", got)
	}
}

func TestStandIns(t *testing.T) {
	n := names{standIns: newStandIns()}
	key := sessionstore.NewKey("shop", strings.Repeat("a", 32))
	for _, kind := range []kind{session, plain} {
		text := n.standIns.seal("shop", kind, "sess:", key)
		if got, ok := n.name("shop", []byte(text)); !ok || got != (name{kind: kind, key: key, prefix: "sess:"}) {
			t.Errorf("%v, %v", got, ok)
		}
		if !strings.HasPrefix(text, "sess:#") || strings.Contains(text, fmt.Sprintf("%x", key[:8])) {
			t.Errorf("stand-in %q", text)
		}
		for what, other := range map[string]string{"another namespace": "blog"} {
			if got, _ := n.name(other, []byte(text)); got.key == key {
				t.Errorf("good in %s", what)
			}
		}
		forged := bytes.Replace([]byte(text), []byte("sess:"), []byte("else:"), 1)
		if got, _ := n.name("shop", forged); got.key == key {
			t.Error("good with another prefix")
		}
	}
	if got, _ := n.name("shop", []byte(fmt.Sprintf("#%x%016x", key[:], 0))); got.key == key {
		t.Error("a key that was read in a store is good as a name")
	}
}

func TestDatabases(t *testing.T) {
	for _, c := range []struct {
		namespace string
		n         int64
		want      string
		ok        bool
	}{
		{"shop", 0, "shop", true}, {"shop", 3, "shop-db3", true}, {"shop", 16, "", false}, {"shop", -1, "", false},
		{strings.Repeat("x", 64), 0, strings.Repeat("x", 64), true}, {strings.Repeat("x", 61), 1, "", false},
	} {
		got, ok := database(c.namespace, c.n)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("database %d of %s: %q, %v", c.n, c.namespace, got, ok)
		}
	}
}

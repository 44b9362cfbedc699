// Package pagetest looks at a page in a real browser.
package pagetest

import (
	"context"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lvsession/lvsession/bench/rig/need"
)

// widths of the windows that a page is looked at in, in pixels.
var widths = []int{500, 1280}

// policy forbids the page to load or run anything, and so the script that looks at it.
const policy = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`

// look gathers what is wrong with the page where --dump-dom shows it.
const look = `<script>addEventListener('load', () => {
const wrong = [], root = document.documentElement;
if (root.scrollWidth > root.clientWidth) wrong.push('the page is ' + root.scrollWidth + ' wide in a window of ' + root.clientWidth);
for (const e of performance.getEntriesByType('resource')) if (!e.name.startsWith('data:') && !e.name.endsWith('favicon.ico')) wrong.push('it loads ' + e.name);
if (/\bNaN\b|Infinity|undefined/.test(root.outerHTML.replace(/<script[^]*<\/script>/g, ''))) wrong.push('a figure is no number');
const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
let drawings = 0;
for (const svg of document.querySelectorAll('svg')) {
	drawings++;
	const frame = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll('text')].map(e => ({e, r: e.getBoundingClientRect()}));
	const name = svg.querySelector('title').textContent.slice(0, 30);
	if (frame.width < 200) wrong.push(name + ' is ' + frame.width + ' wide');
	for (const {e, r} of texts)
		if (r.left < frame.left - 1 || r.right > frame.right + 1 || r.top < frame.top - 1 || r.bottom > frame.bottom + 1) wrong.push(name + ': outside: ' + e.textContent);
	const ticks = texts.filter(({e}) => e.classList.contains('tick'));
	ticks.forEach((a, i) => ticks.slice(i + 1).forEach(b => { if (!apart(a.r, b.r)) wrong.push(name + ': overlap: ' + a.e.textContent + ' and ' + b.e.textContent); }));
}
const found = document.createElement('pre');
found.id = 'found';
found.textContent = drawings + ' drawings; ' + wrong.join('\n');
document.body.append(found);
});</script>`

var found = regexp.MustCompile(`(?s)<pre id="found">(\d+) drawings; (.*?)</pre>`)

// Check looks at a page in Chromium, in a narrow and a wide window. Nothing may overflow the window or a drawing, no two ticks may
// overlap, no figure may be NaN, and nothing may be loaded from elsewhere.
func Check(t *testing.T, text string) {
	t.Helper()
	browser := need.Program(t, "chromium", "chromium")
	if strings.Count(text, policy) != 1 {
		t.Fatal("the page does not forbid itself to load things")
	}
	file := filepath.Join(t.TempDir(), "page.html")
	if err := os.WriteFile(file, []byte(strings.Replace(text, policy, look, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, width := range widths {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		c := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+t.TempDir(),
			fmt.Sprintf("--window-size=%d,900", width), "--dump-dom", "file://"+file)
		c.WaitDelay = time.Second
		dom, err := c.Output()
		cancel()
		if err != nil {
			t.Fatalf("chromium: %v", err)
		}
		m := found.FindSubmatch(dom)
		switch {
		case m == nil:
			t.Errorf("%d pixels: the page was not looked at: %.500s", width, dom)
		case string(m[1]) != fmt.Sprint(strings.Count(text, "<svg")):
			t.Errorf("%d pixels: %s drawings", width, m[1])
		case len(m[2]) > 0:
			t.Errorf("%d pixels: %s", width, html.UnescapeString(string(m[2])))
		}
	}
}

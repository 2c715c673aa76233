package deploy

import (
	"regexp"
	"testing"
)

func TestMask(t *testing.T) {
	m := NewMask(regexp.MustCompile(`build \d+`))
	for _, tt := range []struct{ name, body, want string }{
		{"Django's form token", `<input type="hidden" name="csrfmiddlewaretoken" value="qJx8">`, `<input type="hidden" name="csrfmiddlewaretoken" value=…>`},
		{"value before name", `<input value='a b' name=authenticity_token>`, `<input value=… name=authenticity_token>`},
		{"meta", `<meta name="csrf-token" content="x=="/>`, `<meta name="csrf-token" content=…/>`},
		{"another field", `<input name="q" value="csrf">`, `<input name="q" value="csrf">`},
		{"script's token", `window.csrfToken = "abc"; {"csrf_token": "abc"}`, `window.csrfToken = …; {"csrf_token": …}`},
		{"nonce", `<script nonce="r4nd0m==">`, `<script nonce=…>`},
		{"policy in meta", `content="script-src 'nonce-aB3+/='"`, `content="script-src 'nonce-…'"`},
		{"ISO time", `at 2026-11-30T12:50:17.123Z, 2026-11-30 12:50 and 2026-11-30 12:50:17+01:00.`, `at …, … and ….`},
		{"HTTP date", `Mon, 30 Nov 2026 12:50:17 GMT!`, `…!`},
		{"clock", `<b>12:50:17</b>`, `<b>…</b>`},
		{"a date alone", `<time>2026-11-30</time>, 30 Nov 2026`, `<time>2026-11-30</time>, 30 Nov 2026`},
		{"opening hours", `open 9:00 to 17:30`, `open 9:00 to 17:30`},
		{"unix time", `?t=1764500000 or 1764500000123`, `?t=… or …`},
		{"a number", `order 1234567890, tel. 0301234567`, `order 1234567890, tel. 0301234567`},
		{"ago", `3 minutes ago, 1 hour, 2 minutes ago`, `…, …`},
		{"UUID", `id="6f9619ff-8b86-d011-b42d-00cf4fc964ff"`, `id="…"`},
		{"hash", `data-key="d41d8cd98f00b204e9800998ecf8427e"`, `data-key="…"`},
		{"token", `data-t="eyJhbGciOi1JIUzI1NiIsInR5cCI6IkpXVCJ9x8Zq2Lw"`, `data-t="…"`},
		{"a slug", `href="/news/the-quick-brown-fox-jumps-over-the-lazy-dog-again-in-2026"`, `href="/news/the-quick-brown-fox-jumps-over-the-lazy-dog-again-in-2026"`},
		{"a class", `class="NavigationMenuContentViewportWrapperInnerElement"`, `class="NavigationMenuContentViewportWrapperInnerElement"`},
		{"ignored", `<!-- build 17 -->`, `<!--  -->`},
	} {
		if got := m.Hide(tt.body); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestMaskAssets(t *testing.T) {
	m := NewMask()
	for _, tt := range []struct{ body, want string }{
		{`/static/site.55e7cbb9ba48.css`, `/static/site.….css`},
		{`/assets/index-DkZ3x_9a.js"`, `/assets/index-….js"`},
		{`app~3f2a1b9c.min.js`, `app~….min.js`},
		{`logo.png?v=42">`, `logo.png?…">`},
		{`<script integrity="sha384-abc" src="a.js">`, `<script integrity=… src="a.js">`},
		{`jquery-ui.min.js bootstrap.bundle.js`, `jquery-ui.min.js bootstrap.bundle.js`},
		{`/article-of-the-day.html`, `/article-of-the-day.html`},
		{`/img/summer-collection.jpg`, `/img/summer-collection.jpg`},
	} {
		if got := m.HideAssets(tt.body); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.body, got, tt.want)
		}
	}
}

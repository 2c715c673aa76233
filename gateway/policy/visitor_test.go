package policy

import (
	"fmt"
	"strings"
	"testing"

	"uwgate/uwsgi"
)

// What a request carries besides a browser's own, and what becomes of a page that says
// nothing of its freshness, and of one that does.
func TestVisitors(t *testing.T) {
	const fills, none = DefaultTTL, MaxAge
	tests := []struct {
		name    string
		silent  Reason // of a page that says nothing
		fresh   Reason // of a page with max-age
		changes []string
	}{
		// Cookies that name a visitor.
		{"Django's messages", IdentityCookie, IdentityCookie, cookies("messages=x")},
		{"Django's language", IdentityCookie, IdentityCookie, cookies("django_language=de")},
		{"Pyramid's language", IdentityCookie, IdentityCookie, cookies("_LOCALE_=de")},
		{"Plone", IdentityCookie, IdentityCookie, cookies("__ac=x")},
		{"Plone's messages", IdentityCookie, IdentityCookie, cookies("statusmessages=x")},
		{"PHP", IdentityCookie, IdentityCookie, cookies("PHPSESSID=x")},
		{"Java", IdentityCookie, IdentityCookie, cookies("JSESSIONID=x")},
		{"Express", IdentityCookie, IdentityCookie, cookies("connect.sid=s%3Ax")},
		{"Laravel", IdentityCookie, IdentityCookie, cookies("laravel_session=x")},
		{"Laravel under the application's name", IdentityCookie, IdentityCookie, cookies("shop_session=x")},
		{"Rails", IdentityCookie, IdentityCookie, cookies("_session_id=x")},
		{"Devise", IdentityCookie, IdentityCookie, cookies("remember_user_token=x")},
		{"ASP.NET", IdentityCookie, IdentityCookie, cookies("ASP.NET_SessionId=x")},
		{"ASP.NET Core", IdentityCookie, IdentityCookie, cookies(".AspNetCore.Identity.Application=x")},
		{"WordPress", IdentityCookie, IdentityCookie, cookies("wordpress_logged_in_0123=x")},
		{"web2py", IdentityCookie, IdentityCookie, cookies("session_id_welcome=x")},
		{"Beaker", IdentityCookie, IdentityCookie, cookies("beaker.session.id=x")},
		{"TurboGears", IdentityCookie, IdentityCookie, cookies("authtkt=x")},
		{"oauth2-proxy", IdentityCookie, IdentityCookie, cookies("_oauth2_proxy_0=x")},
		{"Cloudflare Access", IdentityCookie, IdentityCookie, cookies("CF_Authorization=x")},
		{"AWS", IdentityCookie, IdentityCookie, cookies("AWSELBAuthSessionCookie-0=x")},
		{"Keycloak", IdentityCookie, IdentityCookie, cookies("KEYCLOAK_IDENTITY=x")},
		{"Shibboleth", IdentityCookie, IdentityCookie, cookies("_shibsession_64656661=x")},
		{"a JWT", IdentityCookie, IdentityCookie, cookies("access_token_cookie=x")},
		{"Host prefix", IdentityCookie, IdentityCookie, cookies("__Host-sessionid=x")},
		{"Secure prefix", IdentityCookie, IdentityCookie, cookies("__Secure-next-auth.session-token=x")},
		{"Http prefix", IdentityCookie, IdentityCookie, cookies("__Host-Http-session=x")},

		// As the strictest framework splits.
		{"a space", IdentityCookie, IdentityCookie, cookies("_ga=1 sessionid=abc")},
		{"a tab", IdentityCookie, IdentityCookie, cookies("_ga=1\tsessionid=abc")},
		{"a comma", IdentityCookie, IdentityCookie, cookies("_ga=1,sessionid=abc")},
		{"a control byte in front", IdentityCookie, IdentityCookie, cookies("\x1fsessionid=a")},
		{"a control byte within", IdentityCookie, IdentityCookie, cookies("_ga=1\x0bsessionid=a")},
		{"a no-break space", IdentityCookie, IdentityCookie, cookies("\xc2\xa0sessionid=a")},
		{"within quotes", IdentityCookie, IdentityCookie, cookies(`_ga="1; sessionid=a"`)},
		{"after a quote", IdentityCookie, IdentityCookie, cookies(`_ga="sessionid=a`)},
		{"a quoted name", IdentityCookie, IdentityCookie, cookies(`"sessionid"=a`)},
		{"behind a bracket", IdentityCookie, IdentityCookie, cookies("[sessionid=a")},
		{"behind a backslash", IdentityCookie, IdentityCookie, cookies(`_ga=1\sessionid=a`)},
		{"no equals sign", IdentityCookie, IdentityCookie, cookies("_ga=1; sessionid")},
		{"no equals sign behind a space", IdentityCookie, IdentityCookie, cookies("_ga=1 sessionid")},
		{"the second line", IdentityCookie, IdentityCookie, []string{"+HTTP_COOKIE=_ga=1", "+HTTP_COOKIE=_ga=1; sessionid=a"}},
		{"another cookie behind a space", Cookie, none, cookies("_ga=1 theme=dark")},
		{"another cookie behind a comma", Cookie, none, cookies("_ga=1,theme=dark")},
		{"text behind a comma", fills, none, cookies("cookieyes-consent=consentid:x,consent:yes")},
		{"text behind a space", fills, none, cookies("_ga=a b")},
		{"a glob's name with a quote", Cookie, none, cookies(`_ga_"x=1`)},
		{"a value that looks so", fills, none, cookies("_ga=sessionid")},
		{"a value that looks so twice", fills, none, cookies("_ga=1=sessionid")},
		{"nothing between semicolons", fills, none, cookies("; _ga=1;; _gid=2; ")},
		{"an empty header", fills, none, cookies("")},

		// Tokens.
		{"Django's token", TokenCookie, TokenCookie, cookies("csrftoken=x")},
		{"Django's token, prefixed", TokenCookie, TokenCookie, cookies("__Secure-csrftoken=x")},
		{"Angular's token", TokenCookie, TokenCookie, cookies("XSRF-TOKEN=x")},
		{"csurf", TokenCookie, TokenCookie, cookies("_csrf=x")},
		{"Tornado", TokenCookie, TokenCookie, cookies("_xsrf=x")},
		{"ASP.NET's token", TokenCookie, TokenCookie, cookies("__RequestVerificationToken_Lw__=x")},
		{"CakePHP's token", TokenCookie, TokenCookie, cookies("csrfToken=x")},
		{"a token and a session", IdentityCookie, IdentityCookie, cookies("csrftoken=x; sessionid=y")},

		// Harmless ones, and the others.
		{"Google", fills, none, cookies("_ga=GA1.1.1.2; _ga_ABC=GS1.1; _gid=1; _gcl_au=1")},
		{"Cookiebot", fills, none, cookies("CookieConsent={stamp:%27x%27}")},
		{"Cloudflare's", fills, none, cookies("__cf_bm=x; cf_clearance=y")},
		{"a load balancer's", fills, none, cookies("AWSALB=x; AWSALBCORS=y")},
		{"Matomo", fills, none, cookies("_pk_id.1.1fff=x; _pk_ses.1.1fff=1")},
		{"Yandex", fills, none, cookies("_ym_uid=1; _ym_d=2")},
		{"Akamai's", fills, none, cookies("_abck=x; bm_sz=y; ak_bmsc=z")},
		{"OneTrust", fills, none, cookies("OptanonConsent=x; OptanonAlertBoxClosed=y")},
		{"Hotjar", fills, none, cookies("_hjSessionUser_1=x; _hjSession_1=y")},
		{"PostHog", fills, none, cookies("ph_abc_posthog=x")},
		{"django-cookie-consent", Cookie, none, cookies("cookie_consent=analytics=2026-01-01T00:00:00")},
		{"a theme", Cookie, none, cookies("theme=dark")},
		{"a cart", Cookie, none, cookies("_ga=1; cart=7")},
		{"a cookie without a name", Cookie, none, cookies("=abc")},
		{"another one without a name", Cookie, none, cookies("_ga=1 =abc")},

		// Headers that name a visitor.
		{"an API key", IdentityHeader, IdentityHeader, []string{"HTTP_X_API_KEY=s3cret"}},
		{"an API key without a value", IdentityHeader, IdentityHeader, []string{"HTTP_X_API_KEY="}},
		{"OpenStack", IdentityHeader, IdentityHeader, []string{"HTTP_X_AUTH_TOKEN=x"}},
		{"oauth2-proxy's user", IdentityHeader, IdentityHeader, []string{"HTTP_X_AUTH_REQUEST_EMAIL=x"}},
		{"a proxy's user", IdentityHeader, IdentityHeader, []string{"HTTP_X_FORWARDED_USER=x"}},
		{"Authelia", IdentityHeader, IdentityHeader, []string{"HTTP_REMOTE_USER=x"}},
		{"Cloudflare Access's", IdentityHeader, IdentityHeader, []string{"HTTP_CF_ACCESS_AUTHENTICATED_USER_EMAIL=x"}},
		{"ALB", IdentityHeader, IdentityHeader, []string{"HTTP_X_AMZN_OIDC_DATA=x"}},
		{"Google IAP", IdentityHeader, IdentityHeader, []string{"HTTP_X_GOOG_AUTHENTICATED_USER_EMAIL=x"}},
		{"Azure", IdentityHeader, IdentityHeader, []string{"HTTP_X_MS_CLIENT_PRINCIPAL_NAME=x"}},
		{"Tailscale", IdentityHeader, IdentityHeader, []string{"HTTP_TAILSCALE_USER_LOGIN=x"}},
		{"Kong", IdentityHeader, IdentityHeader, []string{"HTTP_X_CONSUMER_USERNAME=x"}},
		{"SiteMinder", IdentityHeader, IdentityHeader, []string{"HTTP_SM_USER=x"}},
		{"WebSEAL", IdentityHeader, IdentityHeader, []string{"HTTP_IV_USER=x"}},
		{"Envoy's client certificate", IdentityHeader, IdentityHeader, []string{"HTTP_X_FORWARDED_CLIENT_CERT=x"}},
		{"a client certificate of RFC 9440", IdentityHeader, IdentityHeader, []string{"HTTP_CLIENT_CERT=x"}},
		{"a JWT of its own", IdentityHeader, IdentityHeader, []string{"HTTP_X_JWT_ASSERTION=x"}},
		{"WordPress's nonce", IdentityHeader, IdentityHeader, []string{"HTTP_X_WP_NONCE=x"}},

		// Headers that change the page.
		{"htmx", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_HX_REQUEST=true"}},
		{"htmx without a value", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_HX_REQUEST="}},
		{"htmx's target", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_HX_TARGET=list"}},
		{"Unpoly", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_UP_TARGET=.main"}},
		{"Zope", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_VHM_ROOT=/other"}},
		{"Turbo", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_TURBO_FRAME=x"}},
		{"pjax", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_PJAX_CONTAINER=x"}},
		{"Inertia", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_INERTIA_PARTIAL_DATA=x"}},
		{"Livewire", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_LIVEWIRE="}},
		{"Datastar", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_DATASTAR_REQUEST=true"}},
		{"Alpine", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_ALPINE_REQUEST=true"}},
		{"jQuery", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_REQUESTED_WITH=XMLHttpRequest"}},
		{"a fragment", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_FETCH_FRAGMENT=1"}},
		{"Next.js", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_RSC=1"}},
		{"SPF", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_SPF_REQUEST=navigate"}},
		{"a service worker", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_SERVICE_WORKER_NAVIGATION_PRELOAD=true"}},
		{"Diazo", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_THEME_DISABLED=1"}},
		{"ESI", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_SURROGATE_CAPABILITY=key=ESI/1.0"}},
		{"Rack::Sendfile", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_SENDFILE_TYPE=X-Accel-Redirect"}},

		// Headers in no table, whose names say what they are for.
		{"a user by a name of its own", IdentityHeader, IdentityHeader, []string{"HTTP_X_LDAP_USER=ann"}},
		{"a user of a firm", IdentityHeader, IdentityHeader, []string{"HTTP_ACME_USER_ID=7"}},
		{"single sign-on", IdentityHeader, IdentityHeader, []string{"HTTP_SSO_USER=ann"}},
		{"an e-mail address", IdentityHeader, IdentityHeader, []string{"HTTP_X_SSO_MAIL=x"}},
		{"a token by a name of its own", IdentityHeader, IdentityHeader, []string{"HTTP_X_ACME_TOKEN=s3cret"}},
		{"a token without a value", IdentityHeader, IdentityHeader, []string{"HTTP_X_ACME_TOKEN="}},
		{"a session by a name of its own", IdentityHeader, IdentityHeader, []string{"HTTP_X_ACME_SESSION=x"}},
		{"roles", IdentityHeader, IdentityHeader, []string{"HTTP_X_ACME_ROLES=admin"}},
		{"a telephone", IdentityHeader, IdentityHeader, []string{"HTTP_X_NOKIA_MSISDN=49"}},
		{"a certificate of a proxy", IdentityHeader, IdentityHeader, []string{"HTTP_X_ACME_CLIENT_CERTIFICATE=x"}},
		{"a cart", IdentityHeader, IdentityHeader, []string{"HTTP_X_CART=7"}},
		{"a host by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_PROXY_HOST=evil.example"}},
		{"the same host by another name", fills, none, []string{"HTTP_X_PROXY_HOST=www.example.com"}},
		{"a forwarded host by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_FORWARDED_HOSTNAME=www.example.com"}},
		{"a virtual host", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_VHOST=evil.example"}},
		{"a scheme by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_PROTO=https"}},
		{"the same scheme by another name", fills, none, []string{"HTTP_X_PROTO=http"}},
		{"a client's scheme", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_CLIENT_SCHEME=https"}},
		{"WSGI's scheme", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_WSGI_URL_SCHEME=https"}},
		{"TLS by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_NGINX_SSL=yes"}},
		{"WebLogic's TLS", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_WL_PROXY_SSL=true"}},
		{"a port by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_SERVER_PORT=444"}},
		{"a prefix by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_INGRESS_PREFIX=/x"}},
		{"a path by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_INGRESS_PATH=/x"}},
		{"a root", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_RSTUDIO_ROOT_PATH=/x"}},
		{"a script's name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_SCRIPT_NAME=/x"}},
		{"a URL by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_MS_ORIGINAL_URL=http://evil.example/"}},
		{"the same URL by another name", fills, none, []string{"HTTP_X_REQUEST_URI=/p?q=1"}},
		{"a method by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_METHOD=POST"}},
		{"a part by another name", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_BX_AJAX=true"}},
		{"a layout", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_NO_LAYOUT=1"}},
		{"a format", UnkeyedHeader, UnkeyedHeader, []string{"HTTP_X_RESPONSE_FORMAT=json"}},

		// Headers that nobody knows, or that pages are made of.
		{"a country of Cloudflare", UnknownHeader, none, []string{"HTTP_CF_IPCOUNTRY=DE"}},
		{"a country of CloudFront", UnknownHeader, none, []string{"HTTP_CLOUDFRONT_VIEWER_COUNTRY=DE"}},
		{"a device", UnknownHeader, none, []string{"HTTP_X_DEVICE=mobile"}},
		{"a device of CloudFront", UnknownHeader, none, []string{"HTTP_CLOUDFRONT_IS_MOBILE_VIEWER=true"}},
		{"a tenant", UnknownHeader, none, []string{"HTTP_X_TENANT=shop"}},
		{"a colour scheme", UnknownHeader, none, []string{"HTTP_SEC_CH_PREFERS_COLOR_SCHEME=dark"}},
		{"App Engine's country", UnknownHeader, none, []string{"HTTP_X_APPENGINE_COUNTRY=DE"}},
		{"Akamai's place", UnknownHeader, none, []string{"HTTP_X_AKAMAI_EDGESCAPE=georegion=1"}},
		{"W3C baggage", UnknownHeader, none, []string{"HTTP_BAGGAGE=userId=1"}},
		{"a language of its own", UnknownHeader, none, []string{"HTTP_X_LANGUAGE="}},

		// Vars.
		{"a certificate", IdentityVar, IdentityVar, []string{"SSL_CLIENT_S_DN=CN=alice"}},
		{"a certificate that was checked", IdentityVar, IdentityVar, []string{"SSL_CLIENT_VERIFY=SUCCESS"}},
		{"a certificate that is not there", fills, none, []string{"SSL_CLIENT_S_DN=", "SSL_CLIENT_VERIFY=NONE"}},
		{"a way to log in", IdentityVar, IdentityVar, []string{"AUTH_TYPE=Basic"}},
		{"Kerberos", IdentityVar, IdentityVar, []string{"KRB5CCNAME=/tmp/x"}},
		{"OpenID", IdentityVar, IdentityVar, []string{"OIDC_CLAIM_email=x"}},
		{"mellon", IdentityVar, IdentityVar, []string{"MELLON_NAME_ID=x"}},
		{"Shibboleth's", IdentityVar, IdentityVar, []string{"SHIB_IDENTITY_PROVIDER=x"}},
		{"a JWT that nginx checked", IdentityVar, IdentityVar, []string{"JWT_CLAIM_SUB=x"}},
		{"a cookie as a var", IdentityVar, IdentityVar, []string{"COOKIE_LANG=de"}},
		{"RFC 1413", IdentityVar, IdentityVar, []string{"REMOTE_IDENT=ann"}},
		{"a user that is not there", fills, none, []string{"REMOTE_USER="}},
		{"a user", Authorization, Authorization, []string{"REMOTE_USER=ann"}},
		{"a country", UnknownVar, none, []string{"GEOIP_COUNTRY_CODE=DE"}},
		{"a country that is not known", fills, none, []string{"GEOIP_COUNTRY_CODE="}},
		{"a mode", UnknownVar, none, []string{"APP_MODE=live"}},
		{"where the application is mounted", fills, none, []string{"SCRIPT_NAME=/p"}},
		{"where it is not", UnknownVar, none, []string{"SCRIPT_NAME=/other"}},
		{"not where it begins so", UnknownVar, none, []string{"SCRIPT_NAME=/pa", "REQUEST_URI=/path"}},
		{"fastcgi_params", fills, none, []string{"SERVER_ADDR=10.0.0.1", "SERVER_SOFTWARE=nginx/1.22.1", "GATEWAY_INTERFACE=CGI/1.1", "DOCUMENT_URI=/p", "REDIRECT_STATUS=200"}},
		{"what the firewall drops", fills, none, []string{"UWSGI_FILE=/x"}},
		{"the connection's encryption", fills, none, []string{"SSL_PROTOCOL=TLSv1.3", "SSL_CIPHER=x", "HTTPS=on", "REQUEST_SCHEME=https"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, v := testPolicy(), get(tt.changes...)
			plan := p.Request(v)
			if got := p.Response(v, plan, page(), testNow).Reason; got != tt.silent {
				t.Errorf("a page that says nothing: got %q, want %q", got, tt.silent)
			}
			if got := p.Response(v, plan, page("Cache-Control: max-age=60"), testNow).Reason; got != tt.fresh {
				t.Errorf("a page with max-age: got %q, want %q", got, tt.fresh)
			}
		})
	}
}

func cookies(header string) []string { return []string{"HTTP_COOKIE=" + header} }

// What browsers, proxies, load balancers and CDNs send to everybody's page.
func TestNeutralRequests(t *testing.T) {
	for name, headers := range map[string]string{
		"Firefox": `Accept: */*|Accept-Language: en|Accept-Encoding: gzip, br|DNT: 1|Sec-GPC: 1|Connection: keep-alive|Upgrade-Insecure-Requests: 1|
			Sec-Fetch-Dest: document|Sec-Fetch-Mode: navigate|Sec-Fetch-Site: none|Sec-Fetch-User: ?1|Priority: u=0, i|TE: trailers|Pragma: no-cache|Cache-Control: no-cache`,
		"Chromium": `Sec-CH-UA: "x"|Sec-CH-UA-Mobile: ?0|Sec-CH-UA-Platform: "Linux"|Sec-CH-UA-Arch: x86|Sec-Purpose: prefetch|Purpose: prefetch|Save-Data: on|
			Referer: http://x/|Origin: http://x|Available-Dictionary: x|Sec-Speculation-Tags: null`,
		"nginx":      "X-Real-IP: 1.2.3.4|X-Forwarded-For: 1.2.3.4, 10.0.0.1|X-Forwarded-Proto: http|X-Forwarded-Host: www.example.com|X-Forwarded-Port: 80|X-Request-ID: x|X-Scheme: http",
		"Varnish":    "X-Varnish: 1|Via: 1.1 varnish (Varnish/7.1)|X-Forwarded-For: 1.2.3.4",
		"HAProxy":    "X-Forwarded-For: 1.2.3.4|X-Unique-Id: x|X-Forwarded-Proto: http",
		"Cloudflare": `CF-Ray: x-FRA|CDN-Loop: cloudflare|CF-Connecting-IP: 1.2.3.4|CF-Visitor: {"scheme":"http"}|X-Forwarded-For: 1.2.3.4|True-Client-IP: 1.2.3.4|CF-EW-Via: 15`,
		"CloudFront": "X-Amz-Cf-Id: x|Via: 2.0 x.cloudfront.net (CloudFront)|X-Forwarded-For: 1.2.3.4|CloudFront-Viewer-Address: 1.2.3.4:5|CloudFront-Viewer-TLS: TLSv1.3",
		"ALB":        "X-Amzn-Trace-Id: Root=1-x|X-Forwarded-For: 1.2.3.4|X-Forwarded-Proto: http|X-Forwarded-Port: 80|X-Amzn-Tls-Version: TLSv1.3",
		"Fastly":     "Fastly-Client-IP: 1.2.3.4|Fastly-FF: x|X-Timer: S1|X-Varnish: 1|CDN-Loop: Fastly|Fastly-Orig-Accept-Encoding: gzip",
		"Akamai":     "Akamai-Origin-Hop: 1|True-Client-IP: 1.2.3.4|X-Akamai-Config-Log-Detail: true|Via: 1.1 v1-akamaitech.net",
		"Google":     "X-Cloud-Trace-Context: x/1;o=1|Traceparent: 00-x|Via: 1.1 google|X-Forwarded-For: 1.2.3.4",
		"Azure":      "X-Azure-Ref: x|X-Azure-ClientIP: 1.2.3.4|X-Azure-SocketIP: 1.2.3.4|X-Azure-FDID: x|X-ARR-LOG-ID: x",
		"Envoy":      "X-Envoy-Expected-Rq-Timeout-Ms: 1|X-Envoy-Attempt-Count: 1|X-B3-TraceId: x|X-B3-SpanId: y|X-Envoy-Internal: true|B3: 0",
		"Heroku":     "Connect-Time: 1|Total-Route-Time: 0|X-Request-Start: 1|Via: 1.1 vegur",
		"monitors":   "Tracestate: x|X-Datadog-Trace-Id: 1|Sentry-Trace: x|Uber-Trace-Id: x|Elastic-Apm-Traceparent: x|Newrelic: x|Sw8: x",
		"robots":     "From: googlebot(at)googlebot.com|Accept-Charset: utf-8|If-Modified-Since: x|If-None-Match: x",
	} {
		v := get()
		for _, h := range strings.Split(headers, "|") {
			header, value, _ := strings.Cut(strings.TrimSpace(h), ": ")
			v = changed(v, "HTTP_"+upperSnake(header)+"="+value)
		}
		p := testPolicy()
		if got := p.Response(v, p.Request(v), page(), testNow).Reason; got != DefaultTTL {
			s := p.look(v)
			t.Errorf("%s: got %q, want %q (%+v)", name, got, DefaultTTL, s)
		}
	}
}

// A name in a table has the class of that table, whatever the globs of the others are.
func TestTablesAgree(t *testing.T) {
	w := defaultVisitors
	for _, table := range []struct {
		traits *traits
		spell  func(string) string
		class  trait
		names  []string
	}{
		{&w.cookies, lowerASCII, identity, identityCookies}, {&w.cookies, lowerASCII, formToken, tokenCookies}, {&w.cookies, lowerASCII, neutral, neutralCookies},
		{&w.headers, upperSnake, identity, identityHeaders}, {&w.headers, upperSnake, unkeyed, fragmentHeaders},
		{&w.headers, upperSnake, neutral, neutralHeaders}, {&w.headers, upperSnake, neutral, clientHeaders},
		{&w.vars, asItIs, identity, identityVars}, {&w.vars, asItIs, neutral, neutralVars},
	} {
		seen := map[string]bool{}
		for _, name := range table.names {
			if seen[table.spell(name)] {
				t.Errorf("%s stands twice in one table", name)
			}
			seen[table.spell(name)] = true
			name = strings.ReplaceAll(name, "*", "x")
			if m := table.traits.of(table.spell(name)); m == nil || m.trait != table.class {
				t.Errorf("%s: got %+v, want the class %d of its own table", name, m, table.class)
			}
		}
	}
}

// A var that is given twice with different values is found whatever the tables say of its
// name, and a name that is there once is not.
func TestRepeatsOfAllNames(t *testing.T) {
	many := VisitorNames{HarmlessCookies: []string{"x"}}
	for i := range 600 { // more than there are numbers for
		many.HarmlessHeaders = append(many.HarmlessHeaders, fmt.Sprintf("X-Harmless-%d", i))
		many.HarmlessVars = append(many.HarmlessVars, fmt.Sprintf("HARMLESS_%d", i))
	}
	p := &Policy{Visitors: NewVisitors(many)}
	names := []string{"HTTP_X_UNKNOWN", "UNKNOWN", "HTTP_", "HTTP_COOKIE", "COOKIE", "HTTP_SEC_CH_UA_X", "CACHE_X"}
	for prefix, t := range map[string]*traits{"HTTP_": &p.Visitors.headers, "": &p.Visitors.vars} {
		for _, m := range t.all {
			names = append(names, prefix+strings.ReplaceAll(m.name, "*", "x"))
		}
	}
	all := make(uwsgi.Vars, 0, len(names))
	for _, name := range names {
		all = append(all, uwsgi.Var{Name: name, Value: "a"})
		var q request
		q.read(p, uwsgi.Vars{{Name: name, Value: "a"}, {Name: "OTHER", Value: "a"}, {Name: name, Value: "b"}})
		if at, found := q.findRepeat(); found != !isHandover(name) || found && at != name {
			t.Errorf("%s: got %q, %v", name, at, found)
		}
	}
	for i, name := range names {
		once := uwsgi.Vars{{Name: name, Value: "a"}, {Name: names[(i+1)%len(names)] + "_", Value: "b"}}
		var q request
		q.read(p, once)
		if at, found := q.findRepeat(); found {
			t.Errorf("%q: got %q", once, at)
		}
	}
	if at, found := all.Repeated(); found {
		t.Errorf("%s has two values", at)
	}
}

func TestVisitorNames(t *testing.T) {
	tests := []struct {
		name   string
		names  VisitorNames
		change string
		want   Reason // of a page that says nothing
	}{
		{"added to the defaults", VisitorNames{IdentityCookies: []string{"shop"}}, "HTTP_COOKIE=shop=1", IdentityCookie},
		{"the defaults stay", VisitorNames{IdentityCookies: []string{"shop"}}, "HTTP_COOKIE=sessionid=1", IdentityCookie},
		{"none of the defaults", VisitorNames{IdentityCookies: []string{"none"}}, "HTTP_COOKIE=sessionid=1", Cookie},
		{"none and one", VisitorNames{IdentityCookies: []string{"none", "shop"}}, "HTTP_COOKIE=shop=1", IdentityCookie},
		{"the others' defaults stay", VisitorNames{IdentityCookies: []string{"none"}}, "HTTP_COOKIE=csrftoken=1", TokenCookie},
		{"a session that is harmless", VisitorNames{HarmlessCookies: []string{"SessionID"}}, "HTTP_COOKIE=sessionid=1", DefaultTTL},
		{"a prefixed session that is harmless", VisitorNames{HarmlessCookies: []string{"sessionid"}}, "HTTP_COOKIE=__Host-sessionid=1", DefaultTTL},
		{"a glob does not make a session harmless", VisitorNames{HarmlessCookies: []string{"*"}}, "HTTP_COOKIE=sessionid=1", IdentityCookie},
		{"a glob makes the others harmless", VisitorNames{HarmlessCookies: []string{"*"}}, "HTTP_COOKIE=theme=1", DefaultTTL},
		{"a glob makes a harmless one a session", VisitorNames{IdentityCookies: []string{"_g*"}}, "HTTP_COOKIE=_ga=1", IdentityCookie},
		{"the exact name of a glob's", VisitorNames{IdentityCookies: []string{"shop_*"}, HarmlessCookies: []string{"shop_theme"}}, "HTTP_COOKIE=shop_theme=1", DefaultTTL},
		{"given as both", VisitorNames{IdentityCookies: []string{"a"}, HarmlessCookies: []string{"a"}}, "HTTP_COOKIE=a=1", IdentityCookie},
		{"a token", VisitorNames{TokenCookies: []string{"form"}}, "HTTP_COOKIE=form=1", TokenCookie},
		{"a session that is a token", VisitorNames{TokenCookies: []string{"session"}}, "HTTP_COOKIE=session=1", TokenCookie},
		{"a header", VisitorNames{IdentityHeaders: []string{"x-shop-*"}}, "HTTP_X_SHOP_USER=", IdentityHeader},
		{"a harmless header", VisitorNames{HarmlessHeaders: []string{"Cf-Ipcountry"}}, "HTTP_CF_IPCOUNTRY=DE", DefaultTTL},
		{"a harmless header of a table", VisitorNames{HarmlessHeaders: []string{"X-Requested-With"}}, "HTTP_X_REQUESTED_WITH=x", DefaultTTL},
		{"a harmless header of those that repeat", VisitorNames{HarmlessHeaders: []string{"X-Forwarded-Port"}}, "HTTP_X_FORWARDED_PORT=7", DefaultTTL},
		{"a glob does not make a key harmless", VisitorNames{HarmlessHeaders: []string{"X-*"}}, "HTTP_X_API_KEY=1", IdentityHeader},
		{"a harmless var", VisitorNames{HarmlessVars: []string{"APP_*"}}, "APP_MODE=live", DefaultTTL},
		{"a harmless var of a table", VisitorNames{HarmlessVars: []string{"AUTH_TYPE"}}, "AUTH_TYPE=Basic", DefaultTTL},
	}
	for _, tt := range tests {
		p, v := testPolicy(), get(tt.change)
		p.Visitors = NewVisitors(tt.names)
		if got := p.Response(v, p.Request(v), page(), testNow).Reason; got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

// One cookie decides how nginx treats a visitor.
func TestVisitorsByCookies(t *testing.T) {
	w := NewVisitors(VisitorNames{HarmlessCookies: []string{"shop"}})
	for _, tt := range []struct {
		cookies         string
		names, separate bool
	}{
		{"", false, false}, {"_ga=1", false, false}, {"csrftoken=1", false, false}, {"shop=1", false, false},
		{"theme=1", false, true}, {"_ga=1; theme", false, true},
		{"sessionid=1", true, false}, {"theme=1; sessionid=1", true, false}, {"__Host-sessionid=1", true, false},
	} {
		if names, separate := w.NameVisitor(tt.cookies), w.Separate(tt.cookies); names != tt.names || separate != tt.separate {
			t.Errorf("%q: got %t, %t; want %t, %t", tt.cookies, names, separate, tt.names, tt.separate)
		}
	}
	if w = nil; w.Separate("_ga=1") || !w.Separate("shop=1") || !w.NameVisitor("sessionid=1") {
		t.Error("the tables alone decide otherwise")
	}
}

// What the key contains does not matter, but for cookies of sessions.
func TestVisitorInKey(t *testing.T) {
	tests := []struct {
		name, template string
		changes        []string
		want           Reason
	}{
		{"a header", "$request_uri|$http_x_tenant", []string{"HTTP_X_TENANT=shop"}, DefaultTTL},
		{"one header of two", "$request_uri|$http_x_tenant", []string{"HTTP_X_TENANT=shop", "HTTP_X_DEVICE=tv"}, UnknownHeader},
		{"a header of identity", "$request_uri|$http_x_api_key", []string{"HTTP_X_API_KEY=k"}, DefaultTTL},
		{"a header that changes the page", "$request_uri|$http_hx_request", []string{"HTTP_HX_REQUEST=true"}, DefaultTTL},
		{"a header without a value, whose key is that of none", "$request_uri|$http_x_tenant", []string{"HTTP_X_TENANT="}, UnknownHeader},
		{"a header that changes the page, without a value", "$request_uri|$http_hx_request", []string{"HTTP_HX_REQUEST="}, UnkeyedHeader},
		{"a header of identity without a value", "$request_uri|$http_x_api_key", []string{"HTTP_X_API_KEY="}, IdentityHeader},
		{"a cookie", "$request_uri|$cookie_theme", cookies("theme=dark"), DefaultTTL},
		{"a cookie without a value, whose key is that of none", "$request_uri|$cookie_theme", cookies("theme="), Cookie},
		{"a cookie among harmless ones", "$request_uri|$cookie_theme", cookies("_ga=1; theme=dark"), DefaultTTL},
		{"one cookie of two", "$request_uri|$cookie_theme", cookies("theme=dark; lang=de"), Cookie},
		{"a cookie twice", "$request_uri|$cookie_theme", cookies("theme=dark; theme=light"), Cookie},
		{"a cookie in another case", "$request_uri|$cookie_theme", cookies("Theme=dark"), Cookie},
		{"a cookie that some readers find elsewhere", "$request_uri|$cookie_theme", cookies("_ga=1 theme=dark"), Cookie},
		{"a cookie in quotes", "$request_uri|$cookie_theme", cookies(`theme="dark"`), Cookie},
		{"all cookies", "$request_uri|$http_cookie", cookies("theme=dark; lang=de"), DefaultTTL},
		{"a session", "$request_uri|$cookie_sessionid", cookies("sessionid=x"), IdentityCookie},
		{"a session among all cookies", "$request_uri|$http_cookie", cookies("sessionid=x"), IdentityCookie},
		{"credentials", "$request_uri|$http_authorization", []string{"HTTP_AUTHORIZATION=Basic eA=="}, Authorization},
	}
	for _, tt := range tests {
		p, v := testPolicy(), get(append(tt.changes, "-CACHE_KEY")...)
		p.Keys.Template = mustTemplate(t, tt.template, "1.22.1")
		if got := p.Response(v, p.Request(v), page(), testNow).Reason; got != tt.want {
			t.Errorf("%s: derived: got %q, want %q", tt.name, got, tt.want)
		}
		key, err := p.Keys.Template.Expand(v)
		if err != nil {
			t.Fatal(err)
		}
		v = append(v, uwsgi.Var{Name: "CACHE_KEY", Value: key})
		if got := p.Response(v, p.Request(v), page(), testNow).Reason; got != tt.want {
			t.Errorf("%s: handed over: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestVisitorVariable(t *testing.T) {
	for cookie, want := range map[string]string{
		"":                      "",
		"_ga=1; _gid=2":         "",
		"csrftoken=x":           "",
		"csrftoken=x; _ga=1":    "",
		"theme=dark":            "+",
		"_ga=1; theme=dark":     "+",
		"csrftoken=x; theme=d":  "+",
		"_ga=1 theme=dark":      "+",
		"theme=dark;sessionid=": "",
		"sessionid=x":           "",
	} {
		tmpl := mustTemplate(t, "$visitor$request_uri", "")
		v := get("HTTP_COOKIE=" + cookie)
		if got, err := tmpl.Expand(v); err != nil || got != want+"/p?q=1" {
			t.Errorf("%q: got %q, %v; want %q", cookie, got, err, want+"/p?q=1")
		}
	}
	tmpl := mustTemplate(t, "$visitor$request_uri", "")
	tmpl.Visitors = NewVisitors(VisitorNames{HarmlessCookies: []string{"theme"}})
	if got, err := tmpl.Expand(get("HTTP_COOKIE=theme=dark")); err != nil || got != "/p?q=1" {
		t.Errorf("a harmless cookie: got %q, %v", got, err)
	}
}

// No Cookie header hides a session that stands in it as a cookie of its own.
func FuzzSessionCookie(f *testing.F) {
	f.Add("_ga=1", "x")
	f.Add(`a="`, `"`)
	f.Fuzz(func(t *testing.T, before, value string) {
		for _, sep := range []string{";", "; ", ",", " ", "\t", "\x1f", "\"", "\\", "[", "\x80"} {
			v := get("HTTP_COOKIE=" + before + sep + "sessionid=" + value)
			if got := testPolicy().Request(v).Reason; got != IdentityCookie {
				t.Errorf("%q%q: got %q", before, sep, got)
			}
		}
	})
}

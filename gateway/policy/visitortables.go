package policy

// The tables of Visitors. Each line names who sets or reads what is in it. A name goes
// into a table only if somebody is known to use it so; all others are unknown, and a
// page that says nothing of its freshness is not stored for whoever sends them.

// identityCookies name the visitor, or choose the page for this visitor (a language, a
// message that is shown once).
var identityCookies = []string{
	"sessionid", "messages", "django_language", "sudo", // Django; django-sudo
	"session", "remember_token", "flash", "secure_cookie", // Flask, Flask-Login, Starlette; Werkzeug's old SecureCookie
	"auth_tkt", "_pyramid_*", "_LOCALE_", "repoze.*", // Pyramid, Paste, repoze.who
	"__ac", "__ac_*", "statusmessages", "_ZopeId", "zope3_cs_*", "I18N_LANGUAGE", "LOCALIZER_LANGUAGE", // Plone, Zope
	"authtkt", "webflash", "tg-visit", "beaker.session*", "bottle.session*", // TurboGears, Beaker, Bottle
	"session_id", "session_id_*", "webpy_session_id", "frontend_lang", "AIOHTTP_SESSION", // CherryPy, web2py, web.py, Odoo, aiohttp
	"trac_auth", "trac_session", "MOIN_SESSION*", "ckan", "sentrysid", "username-*", "roundup_session_*", // Trac, MoinMoin, CKAN, Sentry, Jupyter, Roundup
	"PHPSESSID", "PHPSESSIONID", "ci_session*", "CAKEPHP", "yii_identity", "_identity*", "_lang_session", // PHP, CodeIgniter, CakePHP, Symfony, Yii
	"laravel_session", "*_session", "*_session_id", "remember_web_*", "laravel_token", // Laravel (NAME_session), Rails (_NAME_session)
	"_session_id", "rack.session", "remember_*_token", "user_credentials", "_t", "warden.*", // Rails, Rack, Devise, Authlogic, Discourse
	"JSESSIONID*", "remember-me", "rememberMe", "PLAY_SESSION", "PLAY_FLASH", "PLAY_LANG", "vaadin*session", // Servlets, Spring, Shiro, Play
	"SPRING_SECURITY_REMEMBER_ME_COOKIE", "LtpaToken*", "grails_remember_me", // Spring, WebSphere, Grails
	"ASP.NET_SessionId", ".ASPXAUTH", ".ASPXANONYMOUS", ".AspNet.*", ".AspNetCore.*", "ASPSESSIONID*", "FedAuth*", // ASP.NET
	"connect.sid", "*.sid", "sid", "koa.sess*", "koa:sess*", "express:sess*", // Express, Sails, Koa
	"next-auth.*", "authjs.*", "__session", "appSession*", "better-auth.*", "nuxt-session", // NextAuth, Clerk and Firebase, Auth0, Better Auth, Nuxt
	"wordpress_logged_in_*", "wordpress_sec_*", "wordpress_no_cache", "wp-*", "wp_*", "comment_author_*", "woocommerce_*", "edd_*", // WordPress and its shops
	"SSESS*", "Drupal.visitor.*", "NO_CACHE", "fe_typo_user", "be_typo_user", "MoodleSession*", "MOODLEID*", // Drupal, TYPO3, Moodle
	"phpbb*_u", "phpbb*_k", "phpbb*_sid", "xf_user", "xf_session", "bb_userid", "bb_password", "bbsessionhash", "mybbuser", // phpBB, XenForo, vBulletin, MyBB
	"X-Magento-Vary", "PrestaShop-*", "frontend", "adminhtml", "mw*UserID", "mw*Session", "mw*Token", "*UserName", // Magento, PrestaShop, MediaWiki
	"auth*token*", "auth", "authorization", "jwt", "jwt_*", "*_jwt", "access_token*", "refresh_token*", "id_token*", // what APIs and their pages use
	"*access_token", "*refresh_token", "*session_token", "session-token", "session_token", "bearer*", "sso*token*", "user_token", "token",
	"user_id", "userid", "username", "logged_in*", "loggedin*", "login_token", "remember_me", "persistent_session*", "api_key",
	"_oauth2_proxy*", "authelia_session*", "authentik_*", "_pomerium*", "_vouch*", "VouchCookie*", "_forward_auth*", "_sso_proxy*", // proxies that log in
	"CF_Authorization", "CF_AppSession", "CF_Binding", "AWSALBAuth*", "AWSELBAuthSessionCookie*", "CloudFront-Key-Pair-Id", "CloudFront-Policy", "CloudFront-Signature", // Cloudflare Access, AWS
	"GCP_IAP*", "GCP_IAAP*", "AppServiceAuthSession*", "StaticWebAppsAuthCookie*", "CognitoIdentityServiceProvider.*", "sb-*-auth-token*", // Google IAP, Azure, Cognito, Supabase
	"mod_auth_openidc_*", "mellon-*", "_shibsession_*", "_shibstate_*", "MOD_AUTH_CAS*", "CASTGC", "TGC", // Apache's modules, CAS
	"KEYCLOAK_*", "AUTH_SESSION_ID*", "SMSESSION*", "SMIDENTITY", "ObSSOCookie", "OAMAuthnCookie*", "iPlanetDirectoryPro*", "MRHSession", "PD-S-SESSION-ID", "PD-H-SESSION-ID", // Keycloak, SiteMinder, Oracle, OpenAM, F5, WebSEAL
}

// tokenCookies protect forms. Django sets its own for every visitor to whom it
// shows a form, and sends Vary: Cookie with each page that contains the token.
var tokenCookies = []string{
	"csrftoken",                               // Django
	"XSRF-TOKEN", "X-XSRF-TOKEN", "XSRFTOKEN", // Angular, Laravel, Spring
	"_csrf", "_csrf_token", "csrf_token", "csrf-token", "csrf", "_csrfToken", // csurf, Flask-WTF, Yii, CakePHP
	"csrf_cookie", "csrf_cookie_name", "YII_CSRF_TOKEN", // CodeIgniter, Yii
	"_xsrf", "_xsrf_token", // Tornado, Jupyter
	"__RequestVerificationToken*",                                         // ASP.NET
	"fastapi-csrf-token", "starlette_csrf", "form_key", "anti-csrf-token", // FastAPI, Starlette, Magento
}

// neutralCookies are read by scripts in the browser, or by proxies in front of
// nginx, and by no application.
var neutralCookies = []string{
	"_ga", "_ga_*", "_gid", "_gat", "_gat_*", "_gac_*", "_gcl_*", "__utm*", "_dc_gtm_*", "__gads", "__gpi", "__eoi", "_gaexp", // Google
	"_fbp", "_fbc", "_uetsid", "_uetvid", "_clck", "_clsk", // Meta, Microsoft
	"_hj*", "_pk_id*", "_pk_ses*", "_pk_ref*", "_pk_cvar*", "_pk_hsr*", "_pk_testcookie*", "mtm_consent*", "mtm_cookie_consent", // Hotjar, Matomo
	"_mkto_trk", "__hstc", "hubspotutk", "__hssrc", "__hssc", "__hs_*", "_hp2_*", // Marketo, HubSpot, Heap
	"AMCV_*", "AMCVS_*", "s_cc", "s_sq", "s_fid", "s_nr", "s_ppv", "s_ppvl", "s_ecid", // Adobe
	"mp_*_mixpanel", "amplitude_id*", "AMP_*", "AMP_MKTG_*", "ajs_anonymous_id", "ph_*_posthog", "rl_anonymous_id", "__kla_id", // Mixpanel, Amplitude, Segment, PostHog, RudderStack, Klaviyo
	"_ym_uid", "_ym_d", "_ym_isad", "_ym_visorc*", "_ttp", "_tt_enable_cookie", "_scid", "_scid_r", "_sctr", // Yandex, TikTok, Snapchat
	"_pin_unauth", "_rdt_uuid", "_twpid", "li_fat_id", "ln_or", "cto_bundle", "__qca", "_parsely_*", "_cb", "_cb_*", "_chartbeat*", // Pinterest, Reddit, X, LinkedIn, Criteo, Quantcast, Parse.ly, Chartbeat
	"_ce.*", "cebs", "cebsp_", "fs_uid", "fs_lua", "mf_*", "__insp_*", "SL_C_*", "_lo_uid", "_lo_v", // Crazy Egg, FullStory, Mouseflow, Inspectlet, Smartlook, Lucky Orange
	"rxVisitor", "rxvt", "dtPC", "dtSa", "dtLatC", "_dd_s", "__atuvc", "__atuvs", "intercom-id-*", "intercom-device-id-*", // Dynatrace, Datadog, AddThis, Intercom
	"__zlcmid", "TawkConnectionTime", "twk_*", "crisp-client*", "driftt_aid", "drift_aid", "drift_campaign_refresh", // Zendesk, Tawk, Crisp, Drift
	"CookieConsent", "cookieconsent_status", "OptanonConsent", "OptanonAlertBoxClosed", "euconsent-v2", "eupubconsent", "eupubconsent-v2", // Cookiebot, Osano, OneTrust, IAB
	"usprivacy", "addtl_consent", "IABGPP_*", "FCCDCF", "FCNEC", "didomi_token", "notice_behavior", "notice_preferences", "notice_gdpr_prefs", "cmapi_*", // IAB, Google, Didomi, TrustArc
	"CookieScriptConsent", "cookieyes-consent", "cookielawinfo-*", "viewed_cookie_policy", "_iub_cs-*", "klaro", "tarteaucitron", "cc_cookie", "osano_consentmanager*", "axeptio_*", // CookieScript, CookieYes, iubenda, Klaro, …
	"__cf_bm", "_cfuvid", "cf_clearance", "__cfruid", "__cfduid", "__cflb", "__cfseq", "__cfwaitingroom", // Cloudflare
	"ak_bmsc", "bm_sv", "bm_sz", "bm_mi", "bm_s", "bm_so", "bm_ss", "bm_lso", "_abck", "AKA_A2", // Akamai
	"incap_ses_*", "visid_incap_*", "nlbi_*", "reese84", "datadome", "aws-waf-token", "_px*", // Imperva, DataDome, AWS, HUMAN
	"AWSALB", "AWSALBCORS", "AWSALBTG", "AWSALBTGCORS", "AWSELB", "AWSELBCORS", "GCLB", "GCILB", "ARRAffinity*", "ApplicationGatewayAffinity*", // load balancers: AWS, Google, Azure
	"SERVERID", "SRVNAME", "BIGipServer*", "NSC_*", "INGRESSCOOKIE", "KUBE_ROUTE", // HAProxy, F5, Citrix, ingress-nginx
}

// identityHeaders carry credentials, or name a visitor whom a proxy in front has
// checked. Authorization is a class of its own.
var identityHeaders = []string{
	"Proxy-Authorization", "X-Authorization", "X-Forwarded-Authorization", "X-Original-Authorization", "Authentication", "X-Auth", "Cookie2",
	"X-Api-Key", "Api-Key", "ApiKey", "X-ApiKey", "X-Api-Token", "X-Api-Secret", "X-App-Key", "X-Client-Secret", "X-Functions-Key", "Ocp-Apim-Subscription-Key", // API gateways
	"X-Auth-Token", "X-Auth-Key", "X-Auth-Email", "X-Auth-User", "X-Auth-Username", "X-Subject-Token", "X-Service-Token", "X-Storage-Token", // OpenStack, Cloudflare's API
	"X-Access-Token", "Access-Token", "X-Refresh-Token", "X-Id-Token", "X-Token", "X-User-Token", "X-Session-Token", "X-Session-Id", "X-Session", "X-Bearer-Token",
	"X-Jwt", "X-Jwt-*", "Jwt", "X-Wp-Nonce", "X-Amz-Security-Token", "X-Vault-Token", "Private-Token", "Job-Token", "X-Gitlab-*", "X-Shopify-*", "X-Plex-Token", "Circle-Token", // WordPress, AWS, Vault, GitLab, …
	"Remote-User", "X-Remote-User", "X-Remote-Group*", "X-Remote-Extra-*", "X-Remote-Email", "X-Remote-Name", "Remote-Name", "Remote-Email", "Remote-Groups", "X-Webauth-*", "X-Proxy-User", "X-Proxy-Remote-User", // Authelia, Kubernetes, Grafana
	"X-User", "X-User-Id", "X-Userid", "X-Username", "X-User-Name", "X-User-Email", "X-User-Roles", "X-Authenticated-*", "X-Identity", "X-Identity-*",
	"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-Auth-Request-*", // oauth2-proxy
	"X-Authentik-*", "X-Vouch-*", "X-Pomerium-*", "X-Consumer-*", "X-Credential-*", "X-Userinfo", "X-Endpoint-Api-Userinfo", "X-Apigateway-Api-Userinfo", // Authentik, Vouch, Pomerium, Kong, Google's gateways
	"Cf-Access-*", "X-Amzn-Oidc-*", "X-Amzn-Mtls-*", "X-Goog-*", "X-Serverless-Authorization", "X-Ms-Client-Principal*", "X-Ms-Token-*", "Tailscale-User-*", // Cloudflare Access, AWS, Google IAP, Azure, Tailscale
	"X-Appengine-User-Email", "X-Appengine-User-Id", "X-Appengine-User-Nickname", "X-Appengine-User-Is-Admin", "Oidc-*", "X-Oidc-*", "X-Saml-*", "Mellon-*", "Shib-*", "Ajp-*", "Eppn", "X-Eppn", // App Engine, mod_auth_openidc, mellon, Shibboleth
	"Iv-User", "Iv-Groups", "Iv-Creds", "Sm-User", "Smuser", "Sm-*", "Oam-*", "Osso-*", "X-Ms-User-*", // WebSEAL, SiteMinder, Oracle
	"X-Forwarded-Client-Cert", "X-Forwarded-Tls-Client-Cert*", "X-Ssl-*Client*", "Ssl-Client-*", "X-Client-Cert*", "X-Client-Dn", "X-Client-Verify", "Client-Cert", "Client-Cert-Chain", "X-Arr-Clientcert", "X-Tls-Client-*", // Envoy, Traefik, ingress-nginx, HAProxy, RFC 9440, IIS
	"Sec-Session-*", "Sec-Private-State-Token*", "Dpop", // device bound sessions, RFC 9449
}

// fragmentHeaders make the frameworks named send another page than the URL's: a
// part of it, data instead of HTML, or links with another root. Headers that
// repeat what nginx says are in repeaters.
var fragmentHeaders = []string{
	"X-Requested-With",                // jQuery and most others
	"HX-*", "X-IC-Request", "X-PJAX*", // htmx, intercooler, pjax
	"Turbo-*", "X-Turbo-*", "Turbolinks-*", "X-Turbolinks-*", "X-Xhr-Referer", // Hotwire
	"X-Inertia*", "X-Up-*", "X-Unpoly", "X-Fetch-Fragment", "X-Livewire*", "X-Alpine-*", "Datastar-*", "X-Splade*", // Inertia, Unpoly, Livewire, Alpine AJAX, Datastar, Splade
	"X-Spf-*", "X-Swup*", "X-Barba", "X-Instantclick", "X-Fragment*", "X-Partial*", "X-Ajax", "Ajax", "X-Ajax-*", "X-Microsoftajax", // SPF, swup, barba, ASP.NET
	"X-October-*", "X-Winter-*", "X-Tetra*", "X-Reactor", "X-Sveltekit-*", "X-Nextjs-Data", "Rsc", "Next-*", "X-Remix-*", "X-Qwik-*", "Astro-*", // October, Winter, SvelteKit, Next.js, Remix
	"Service-Worker-Navigation-Preload",                                                                                                             // the part that a service worker lacks
	"X-Forwarded-Prefix", "X-Script-Name", "X-Forwarded-Path", "X-Forwarded-Context", "X-Base-Url", "X-Application-Root", "X-Forwarded-Script-Name", // werkzeug ProxyFix, Spring, …
	"X-Vhm-*", "X-Virtualhost*", "X-Theme-Enabled", "X-Theme-Disabled", "X-Diazo-*", "X-Zope-*", // repoze.vhm, Plone's Diazo
	"Surrogate-Capability", "X-Sendfile-Type", "X-Accel-Mapping", "Accept-Datetime", "A-Im", // Symfony's ESI, Rack::Sendfile, RFC 7089, RFC 3229
	"X-Original-Path", "X-Waws-Unencoded-Url", "X-Envoy-Original-Path", "X-Envoy-Original-Host", "X-Http-Path-Override", "X-Http-Host-Override", "X-Forwarded-Method", "X-Middleware-*", // URLs and hosts in place of nginx's
}

// globMembers are the members of the globs above that are in wide use.
var globMembers = []string{
	"X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Access-Token", "X-Jwt-Assertion", "X-Webauth-User", "X-Authenticated-User", "X-Authenticated-Userid",
	"Cf-Access-Jwt-Assertion", "Cf-Access-Client-Id", "Cf-Access-Authenticated-User-Email", "X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity", "X-Amzn-Oidc-Accesstoken",
	"X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Subject", "X-Goog-Iap-Jwt-Assertion", "X-Goog-Authenticated-User-Email", "X-Ms-Client-Principal", "X-Ms-Client-Principal-Name",
	"Tailscale-User-Login", "X-Authentik-Username", "X-Vouch-User", "X-Pomerium-Jwt-Assertion", "X-Consumer-Id", "X-Consumer-Username", "X-Credential-Identifier", "X-Gitlab-Token", "X-Shopify-Access-Token",
	"Ssl-Client-Cert", "Ssl-Client-Subject-Dn", "X-Ssl-Client-Cert", "X-Ssl-Client-S-Dn", "X-Client-Cert", "X-Forwarded-Tls-Client-Cert",
	"HX-Request", "HX-Target", "HX-Boosted", "X-PJAX", "X-PJAX-Container", "Turbo-Frame", "X-Turbo-Request-Id", "X-Inertia", "X-Inertia-Partial-Data", "X-Up-Target", "X-Up-Version", "X-Up-Mode",
	"X-Livewire", "X-Livewire-Navigate", "X-Alpine-Request", "X-Alpine-Target", "Datastar-Request", "X-Splade", "X-Spf-Request", "X-Swup", "X-October-Request-Handler", "X-Winter-Request-Handler",
	"Next-Router-State-Tree", "Next-Router-Prefetch", "X-Vhm-Root", "X-Vhm-Host", "X-Diazo-Off",
}

// neutralHeaders are sent by every browser, or by proxies in front of nginx. Pages
// that depend on one of them say so with Vary, as Django's do for Accept-Language.
// A header that names a country, a device or a tenant is not neutral, because
// applications make pages from it.
var neutralHeaders = []string{
	"Host", "Connection", "User-Agent", "Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Cookie", // browsers
	"Cache-Control", "Pragma", "Upgrade-Insecure-Requests", "Upgrade", "Dnt", "Sec-Gpc", "Save-Data", "Priority", "Te", "Trailer", "Keep-Alive", "Proxy-Connection",
	"If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Range", "Want-Digest", "Want-Repr-Digest", "Want-Content-Digest",
	"Sec-Fetch-Dest", "Sec-Fetch-Mode", "Sec-Fetch-Site", "Sec-Fetch-User", "Sec-Fetch-*", "Sec-Purpose", "Purpose", "X-Purpose", "X-Moz", "Sec-Speculation-Tags", "Amp-Cache-Transform",
	"Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Ch-Ua-*", "Sec-Websocket-*", "Sec-Browsing-Topics", "Sec-Storage-Access", "Sec-Shared-Storage-Writable",
	"Available-Dictionary", "Dictionary-Id", "Http2-Settings", "Early-Data", "Service-Worker", "Ua-Cpu", "Ua-Os", "Chrome-Proxy", "Device-Stock-Ua", "Content-Length", "Content-Type", "Content-Encoding", "Content-Language", "Transfer-Encoding", "Expect", "Max-Forwards", "Date", "Warning", "Mime-Version",
	"Proxy",                                // dropped by the firewall
	"X-Forwarded-Proto", "X-Forwarded-Ssl", // Firewall decides about them
	"Via", "X-Forwarded-By", "X-Proxy-Id", "X-Bluecoat-Via", "X-Imforwards", "Cdn-Loop", "X-Cache", "X-Cache-Lookup", "X-Cache-Hits", "X-Varnish", "X-Squid-*", // proxies
	"X-Request-Id", "Request-Id", "X-Correlation-Id", "Correlation-Id", "Correlation-Context", "Request-Context", "X-Trace-Id", "X-Unique-Id", "X-Request-Start", "X-Queue-Start", "X-Start-Time", "X-Request-Time", // what logs and monitors go by
	"Traceparent", "Tracestate", "B3", "X-B3-*", "Uber-Trace-Id", "Sentry-Trace", "X-Datadog-*", "Newrelic", "X-Newrelic-*", "X-Cloud-Trace-Context", "Grpc-Trace-Bin",
	"Elastic-Apm-Traceparent", "X-Instana-*", "Sw6", "Sw8", "Sw8-*", "X-Dynatrace*", "X-Ruxit-*", "X-Ot-Span-Context", "Ot-Tracer-*", "X-Honeycomb-Trace", "X-Signalfx-*",
	"Cf-Ray", "Cf-Ew-Via", "Cf-Worker", "Cf-Request-Id", "Cf-Warp-Tag-Id", "Cf-Cache-Status", "Cf-Connecting-O2o", // Cloudflare
	"X-Amz-Cf-Id", "X-Amz-Cf-Pop", "X-Amzn-Trace-Id", "X-Amzn-Requestid", "X-Amzn-Tls-*", "X-Amzn-Lambda-Context", // AWS
	"CloudFront-Viewer-Http-Version", "CloudFront-Viewer-Tls", "CloudFront-Viewer-Ja3-Fingerprint", "CloudFront-Viewer-Ja4-Fingerprint", "CloudFront-Viewer-Header-Order", "CloudFront-Viewer-Header-Count", "CloudFront-Viewer-Asn",
	"Fastly-Ff", "Fastly-Orig-Accept-Encoding", "Fastly-Temp-*", "Fastly-Client", "Fastly-Debug", "Fastly-Debug-*", "Fastly-No-Shield", "Fastly-Force-*", "Fastly-Cachetype", "Fastly-Soc-*", "Fastly-Key-*", "X-Fastly-*", "X-Timer", "X-Served-By", // Fastly
	"Akamai-Origin-Hop", "Akamai-Reputation", "X-Akamai-Config-Log-Detail", "X-Akamai-Request-*", "X-Akamai-Staging*", "X-Akamai-Grn", "Akamai-Grn", // Akamai
	"X-Azure-Ref", "X-Azure-Requestchain", "X-Azure-Fdid", "X-Fd-Healthprobe", "X-Arr-Log-Id", "X-Site-Deployment-Id", "X-Appgw-Trace-Id", // Azure
	"X-Appengine-Request-Log-Id", "X-Appengine-Timeout-Ms", "X-Appengine-Default-Namespace", "X-Google-*", // Google
	"X-Envoy-Expected-Rq-Timeout-Ms", "X-Envoy-Attempt-Count", "X-Envoy-Internal", "X-Envoy-Decorator-Operation", "X-Envoy-Peer-Metadata*", "X-Envoy-Force-Trace", "X-Envoy-Retry-*", "X-Envoy-Upstream-*", "X-Istio-*", // Envoy, Istio
	"X-Kong-*", "X-Traefik-*", "X-Haproxy-*", "Connect-Time", "Total-Route-Time", "X-Heroku-*", // Kong, HAProxy, Heroku
	"Fly-Request-Id", "Fly-Region", "Fly-Traceparent", "Fly-Tracestate", "X-Vercel-Id", "X-Nf-Request-Id", "Rndr-Id", "X-Pull", "Cdn-Requestid", "Cdn-Connectionid", "Cdn-Serverid", "Cdn-Requestpullcode", "Cdn-Cacheid", // Fly, Vercel, Netlify, Render, KeyCDN, Bunny
	"Incap-Proxy-*", "X-Sucuri-Id", "Ali-Swift-*", "Ali-Cdn-*", "Eagleeye-*", "X-Edgeconnect-*", "Ngrok-Skip-Browser-Warning", "X-P2p-Peerdist*", // Imperva, Sucuri, Alibaba
}

// clientHeaders are neutral, too, but describe the client or its visit. uwgate's
// own requests do not have them.
var clientHeaders = []string{
	"X-Forwarded-For", "X-Original-Forwarded-For", "X-Real-Ip", "X-Real-Port", "Client-Ip", "X-Client-Ip", "X-Client-Port", "X-Cluster-Client-Ip", "X-Remote-Ip", "X-Remote-Addr",
	"X-Forwarded", "X-Forwarded-Client-Ip", "X-Originating-Ip", "X-Proxyuser-Ip", "X-Envoy-External-Address", "X-Source-Ip", "Wl-Proxy-Client-Ip", "Proxy-Client-Ip", // proxies
	"True-Client-Ip", "Cf-Connecting-Ip", "Cf-Connecting-Ipv6", "Cf-Pseudo-Ipv4", "Fastly-Client-Ip", "Fastly-Client-Port", "CloudFront-Viewer-Address", // CDNs
	"X-Azure-Clientip", "X-Azure-Socketip", "X-Appengine-User-Ip", "Fly-Client-Ip", "Incap-Client-Ip", "X-Sucuri-Clientip", "Ali-Cdn-Real-Ip", "X-Vercel-Forwarded-For", "X-Nf-Client-Connection-Ip", "From", "Referer", "Origin", "Ping-From", "Ping-To", // browsers and robots
}

// identityVars come from nginx's own configuration: they are what nginx, or
// Apache's modules under the same names, know about the visitor.
var identityVars = []string{
	"REMOTE_USER", "REMOTE_USER_*", "REDIRECT_REMOTE_USER", "REMOTE_IDENT", "REMOTE_NAME", "REMOTE_EMAIL", "REMOTE_GROUPS", "LOGON_USER", // CGI, RFC 3875
	"AUTH_TYPE", "AUTH_USER", "AUTH_PASSWORD", "AUTH_*", "PHP_AUTH_*", "USER", "USER_*", "USERNAME", "AUTHENTICATE_*", "AUTHORIZATION",
	"SSL_CLIENT_*", "SSL_SESSION_ID", "TLS_CLIENT_*", "CLIENT_CERT*", "CLIENT_DN", "CLIENT_VERIFY", "CERT_*", "X509*", "X_SSL_CLIENT_*", // client certificates
	"GSSAPI_*", "GSS_*", "KRB*", "NTLM_*", "SPNEGO_*", "LDAP_*", "PAM_*", // nginx's spnego, Apache's authentication
	"OIDC_*", "JWT_*", "OAUTH_*", "SHIB_*", "Shib-*", "MELLON_*", "SAML_*", "CAS_*", "AJP_*", "EPPN", "eppn", "SM_USER", "HTTPS_CLIENT*",
	"COOKIE", "COOKIE_*", "SESSION", "SESSION_*", "SESSIONID", "X_USER*", "X_FORWARDED_USER", "X_REMOTE_USER", // cookies as params
}

// neutralVars are sent by the stock uwsgi_params, and by other CGI gateways.
var neutralVars = []string{
	"QUERY_STRING", "REQUEST_METHOD", "CONTENT_TYPE", "CONTENT_LENGTH", "REQUEST_URI", "PATH_INFO", "DOCUMENT_ROOT", "SERVER_PROTOCOL", "REQUEST_SCHEME", "HTTPS",
	"REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT", "SERVER_NAME", // nginx's and Debian's uwsgi_params
	"CACHE_KEY", "CACHE_STATUS", "CACHE_SERVER", "CACHE_*", // how nginx hands the key over
	"UWSGI_*",                                                                                                                                     // what the firewall drops, or the operator allows
	"SERVER_ADDR", "SERVER_SOFTWARE", "GATEWAY_INTERFACE", "DOCUMENT_URI", "SCRIPT_FILENAME", "PATH_TRANSLATED", "REDIRECT_STATUS", "REMOTE_HOST", // fastcgi_params, scgi_params, RFC 3875
	"SCGI", "SCGI_*", "REQUEST_ID", "REQUEST_TIME", "REQUEST_TIME_FLOAT", "MSEC", "TIME_LOCAL", "TIME_ISO8601", "HOSTNAME", "NGINX_VERSION", "SERVER_ADMIN", "SERVER_SIGNATURE", "CONNECTION", "CONNECTION_REQUESTS",
	"SSL_PROTOCOL", "SSL_CIPHER", "SSL_CIPHERS", "SSL_CURVES", "SSL_CURVE", "SSL_SESSION_REUSED", "SSL_EARLY_DATA", "HTTP2", "HTTP3", // how the connection is encrypted
	"X_REAL_IP", "REAL_IP", "X_FORWARDED_FOR", "X_REQUEST_ID", "UNIQUE_ID", "X_REQUEST_START", "REALIP_REMOTE_ADDR", "REALIP_REMOTE_PORT", "PROXY_PROTOCOL_ADDR", "PROXY_PROTOCOL_PORT", // headers as params
}

package parity

// A Level says how bad a finding is.
type Level string

const (
	Error   Level = "error"   // no hits, wrong pages, or broken responses
	Warning Level = "warning" // it works today
	Note    Level = "note"    // worth knowing
)

// A Code names a kind of finding. docs/check.md has a row for each.
type Code string

const (
	noLookup        Code = "no-lookup"
	unreadable      Code = "unreadable"
	httpPart        Code = "http-part"
	lookupsDisagree Code = "lookups-disagree"
	notTold         Code = "not-told"

	keyDiffers      Code = "key-differs"
	keyNotSet       Code = "key-not-set"
	keyNotDerivable Code = "key-not-derivable"
	keyConstant     Code = "key-constant"
	keyAmbiguous    Code = "key-ambiguous"
	keyUnseen       Code = "key-unseen"
	keyPartial      Code = "key-partial"
	keyParams       Code = "key-params"
	keyRewritten    Code = "key-rewritten"
	keyLong         Code = "key-long"
	keyWithoutHost  Code = "key-without-host"
	keyWithoutArgs  Code = "key-without-args"
	keyScheme       Code = "key-scheme"
	keyShared       Code = "key-shared"
	visitorDiffers  Code = "visitor-differs"

	generationDiffers Code = "generation-differs"

	handoverKey    Code = "handover-key"
	handoverStatus Code = "handover-status"
	handoverServer Code = "handover-server"
	handoverLost   Code = "handover-lost"

	cookieForAll     Code = "cookie-for-all"
	neverReached     Code = "never-reached"
	noMethod         Code = "no-method"
	paramTwice       Code = "param-twice"
	paramRefused     Code = "param-refused"
	paramUnkeyed     Code = "param-unkeyed"
	paramUnknown     Code = "param-unknown"
	httpHost         Code = "http-host"
	diverted         Code = "diverted"
	accessDiffers    Code = "access-differs"
	membersLookedUp  Code = "members-looked-up"
	visitorsLookedUp Code = "visitors-looked-up"
	rewritten        Code = "rewritten"
	subrequests      Code = "subrequests"
	strayLookedUp    Code = "redirect-looked-up"
	ssiSentinel      Code = "ssi-sentinel"
	serverShadowed   Code = "server-shadowed"
	socketDenied     Code = "socket-denied"
	missNowhere      Code = "miss-nowhere"
	missElsewhere    Code = "miss-elsewhere"
	tlsDiffers       Code = "tls-differs"

	errorPageMissing  Code = "error-page-missing"
	errorPageStatus   Code = "error-page-status"
	errorPageTarget   Code = "error-page-target"
	undefinedLocation Code = "location-undefined"
	timeout           Code = "timeout"
	readTimeout       Code = "read-timeout"
	nginxCache        Code = "nginx-cache"
	noBody            Code = "no-body"
	forwardedProto    Code = "forwarded-proto"
	nextUpstream      Code = "next-upstream"
	maxFails          Code = "max-fails"
	bufferSize        Code = "buffer-size"
	buffering         Code = "buffering"
	moduleUnknown     Code = "module-unknown"

	serverMissing   Code = "server-missing"
	serverExtra     Code = "server-extra"
	serverSpelled   Code = "server-spelled"
	serverAddresses Code = "server-addresses"
	serverOrder     Code = "server-order"
	serverWeight    Code = "server-weight"
	serverDown      Code = "server-down"
	serverPort      Code = "server-port"
	serverBackup    Code = "server-backup"
	serverUnknown   Code = "server-unknown"
	hashDiffers     Code = "hash-differs"
	hashExpression  Code = "hash-expression"

	formatDiffers   Code = "format-differs"
	gzipFlagDiffers Code = "gzip-flag-differs"
	gzipFlagIdle    Code = "gzip-flag-idle"
	gunzipOff       Code = "gunzip-off"
	hitEncoding     Code = "hit-encoding"
	filterSkipped   Code = "filter-skipped"
	filterDiffers   Code = "filter-differs"
	srcacheStore    Code = "srcache-store"
	srcacheMethods  Code = "srcache-methods"
	satisfyAny      Code = "satisfy-any"

	hitTypeDiffers Code = "hit-type-differs"
	noDefaultType  Code = "no-default-type"
	noCharset      Code = "no-charset"
	typesDiffer    Code = "types-differ"
	typesHTML      Code = "types-html"
	noTypes        Code = "no-types"

	headerNotAdded Code = "header-not-added"
	headerNotTold  Code = "header-not-told"
	headerLost     Code = "header-lost"
)

// Package page shows a gateway to people: the status page of --admin.
//
// A [Page] adds it to the paths of an [admin.Admin]:
//
//	GET  /           what the gateway is doing; ?url= fills in the form
//	POST /explain    what `uwgate explain` prints for a URL
//	POST /purge      deletes pages: the first request asks, the second does it
//
// The page is one document made here, without anything from elsewhere. It works without
// JavaScript; with it, the numbers are replaced every ten seconds while somebody can see them.
//
// Who may use the API may use the page: over a UNIX socket with a file everybody whom the
// file's mode lets connect, else those with the token. A browser asks for it (HTTP Basic: the
// token is the password, any user name will do). Not a cookie: cookies are shared by all ports
// of a host, so another program there could read it.
//
// Nothing changes by GET. A POST needs the token of the form, which lives as long as the
// process, and must not come from another site.
//
// Hosts, URIs and keys are what visitors make up. All of them pass html/template's escaping,
// and links lead to this page only.
//
// A page is made from [admin.Admin.Status], for its readers, and costs requests nothing. Its
// lists are bounded: of 500 pools it shows the 50 that need attention most.
package page

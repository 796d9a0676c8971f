using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Auth;

/// <summary>Every route, in every mode, for everybody: who gets through, and that the others are told nothing.</summary>
public sealed partial class RouteTableTests(RouteTable table) : IClassFixture<RouteTable>
{
    private static readonly AuthMode[] Modes = Enum.GetValues<AuthMode>();

    public static TheoryData<string> Routes => [.. RouteTable.Rows.Select(row => row.Route)];

    public static TheoryData<string, AuthMode> RoutesAndModes =>
    [
        .. RouteTable.Rows.SelectMany(row => Modes.Select(mode => (row.Route, mode))),
    ];

    [Theory]
    [InlineData(AuthMode.Open)]
    [InlineData(AuthMode.Several)]
    public async Task Every_route_has_its_row(AuthMode mode)
    {
        var registry = await table.RegistryAsync(mode);
        var routes = registry.App.Services.GetServices<EndpointDataSource>()
            .SelectMany(source => source.Endpoints)
            .OfType<RouteEndpoint>()
            .SelectMany(endpoint => MethodsOf(endpoint).Select(method => $"{method} {TemplateOf(endpoint)}"))
            .Distinct()
            .ToList();

        var expected = RouteTable.Rows.Where(row => mode != AuthMode.Open || !row.Route.Contains("/token", StringComparison.Ordinal));
        routes.ShouldBe(expected.Select(row => row.Route), ignoreOrder: true);
    }

    [Theory]
    [MemberData(nameof(RoutesAndModes))]
    public async Task Who_may_gets_through_and_nobody_else(string route, AuthMode mode)
    {
        var registry = await table.RegistryAsync(mode);
        var row = RouteTable.Rows.Single(row => row.Route == route);
        var untouched = await RouteTable.PrepareAsync(registry, row, null);
        foreach (var user in RouteTable.Users.Prepend(null))
        {
            var target = row.Changes && (mode == AuthMode.Open || row.May(user))
                ? await RouteTable.PrepareAsync(registry, row, user)
                : untouched;
            using var response = await registry.SendAsync(user, () => row.Request(target));

            var expected = mode == AuthMode.Open ? row.Off ?? row.Status
                : row.May(user) ? row.Status
                : user is null ? HttpStatusCode.Unauthorized
                : user == "neighbour" && row.Need == "admin" ? row.Elsewhere
                : HttpStatusCode.Forbidden;
            if (mode is not (AuthMode.Bearer or AuthMode.Several) && row.IsTokenService)
            {
                expected = HttpStatusCode.NotFound;
            }

            await response.ShouldHaveStatusAsync(expected);
            response.Headers.WwwAuthenticate.Count.ShouldBe(expected == HttpStatusCode.Unauthorized ? 1 : 0, $"{user}");
        }
    }

    /// <summary>No robots, no upstreams, no token service: each route says so, and fails on nothing.</summary>
    [Theory]
    [MemberData(nameof(Routes))]
    public async Task A_route_of_a_feature_that_is_switched_off_says_so(string route)
    {
        var row = RouteTable.Rows.Single(row => row.Route == route);
        var registry = await table.RegistryAsync(AuthMode.Basic);
        var settings = registry.App.Services.GetRequiredService<IOptions<OciRegistryOptions>>().Value;
        var target = await RouteTable.PrepareAsync(registry, row, "root");
        settings.Auth.Robots = false;
        try
        {
            using var answer = await registry.SendAsync("root", () => row.Request(target));
            await answer.ShouldHaveStatusAsync(row.IsTokenService ? HttpStatusCode.NotFound : row.Off ?? row.Status);
        }
        finally
        {
            settings.Auth.Robots = true;
        }
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task A_token_that_has_ended_or_whose_account_is_gone_opens_nothing(string route)
    {
        var registry = await table.RegistryAsync(AuthMode.Several);
        var row = RouteTable.Rows.Single(row => row.Route == route);
        if (row.Need is null)
        {
            return; // open to everybody, whatever he sends
        }

        var target = await RouteTable.PrepareAsync(registry, row, "root");
        var root = registry.CallerOf("root");
        Scope[] all = [new(Scope.RepositoryType, target.Repository, ["*"]), Scope.Catalog, Scope.Admin];
        var minute = TimeSpan.FromMinutes(1);
        (string Why, string Token)[] tokens =
        [
            ("ended", await registry.MintAsync(root, -minute, all)),
            ("another password since", await registry.MintAsync(root with { Credential = "0123456789abcdef" }, minute, all)),
            ("no credential", await registry.MintAsync(root with { Credential = null }, minute, all)),
            ("user gone", await registry.MintAsync(root with { Subject = "user:gone" }, minute, all)),
            ("user gone, of no credential", await registry.MintAsync(new Caller("user:gone"), minute, all)),
            ("robot gone, of no credential", await registry.MintAsync(new Caller("robot:gone"), minute, all)),
            ("robot revoked", await registry.MintAsync(root with { Subject = "robot:gone" }, minute, all)),
            ("issuer gone", await registry.MintAsync(root with { Subject = "github:repo:a/b" }, minute, all)),
            ("certificates off", await registry.MintAsync(root with { Subject = "cert:a" }, minute, all)),
        ];
        foreach (var (why, token) in tokens)
        {
            using var refused = await registry.SendAsync(GuardedRegistry.Bearer(token), () => row.Request(target));
            refused.StatusCode.ShouldBe(HttpStatusCode.Unauthorized, why);
        }

        using var served = await registry.SendAsync(
            GuardedRegistry.Bearer(await registry.MintAsync(root, minute, all)), () => row.Request(target));
        await served.ShouldHaveStatusAsync(row.Status);
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task Several_ways_to_log_in_work_beside_each_other(string route)
    {
        var registry = await table.RegistryAsync(AuthMode.Several);
        var row = RouteTable.Rows.Single(row => row.Route == route);
        if (row.Need is not ("pull" or "log in" or "list"))
        {
            return; // one that changes nothing is enough
        }

        var target = await RouteTable.PrepareAsync(registry, row, "root");
        foreach (var (user, status) in new[] { ("root", row.Status), ("nobody-known", row.Need == "pull" ? HttpStatusCode.Forbidden : row.Status) })
        {
            using var byProvider = await registry.SendAsync(
                GuardedRegistry.Bearer(registry.ProvidersToken(user)), () => row.Request(target));
            byProvider.StatusCode.ShouldBe(status, user);
        }

        using var byPassword = await registry.SendAsync(GuardedRegistry.Basic("root"), () => row.Request(target));
        using var byProvidersPassword = await registry.SendAsync(
            GuardedRegistry.Basic("anything", registry.ProvidersToken("root")), () => row.Request(target));
        byPassword.StatusCode.ShouldBe(row.Status);
        byProvidersPassword.StatusCode.ShouldBe(row.Status);
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task A_token_is_good_for_what_it_was_made_for_only(string route)
    {
        var registry = await table.RegistryAsync(AuthMode.Bearer);
        var row = RouteTable.Rows.Single(row => row.Route == route);
        if (row.Need is null or "log in")
        {
            return; // any token is
        }

        var target = await RouteTable.PrepareAsync(registry, row, "root");
        var token = await registry.MintAsync(
            registry.CallerOf("root"), TimeSpan.FromMinutes(1), new Scope(Scope.RepositoryType, target.Repository + "/other", ["*"]));

        using var response = await registry.SendAsync(GuardedRegistry.Bearer(token), () => row.Request(target));

        response.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
        response.Headers.WwwAuthenticate.ToString().ShouldContain("error=\"insufficient_scope\"");
        response.Headers.WwwAuthenticate.ToString().ShouldContain($"scope=\"{row.ScopeOf(target)}\"");
    }

    [Theory]
    [MemberData(nameof(RoutesAndModes))]
    public async Task What_somebody_may_not_see_is_answered_like_what_is_not_there(string route, AuthMode mode)
    {
        var row = RouteTable.Rows.Single(row => row.Route == route);
        if (mode == AuthMode.Open || row.Need is not ("pull" or "push" or "delete"))
        {
            return;
        }

        var registry = await table.RegistryAsync(mode);
        var there = await RouteTable.PrepareAsync(registry, row, "root");
        var nowhere = there with
        {
            Repository = RegistryClient.NewRepository(),
            Blob = Digest.Of(RegistryClient.RandomBytes(9)),
            Session = UploadSessionId.New().ToString(),
        };
        foreach (var user in (string?[])[null, "stranger"])
        {
            using var seen = await registry.SendAsync(user, () => row.Request(there));
            using var missing = await registry.SendAsync(user, () => row.Request(nowhere));

            missing.StatusCode.ShouldBe(seen.StatusCode);
            Shape(await missing.Content.ReadAsStringAsync()).ShouldBe(Shape(await seen.Content.ReadAsStringAsync()));
            missing.Headers.Select(header => header.Key).ShouldBe(seen.Headers.Select(header => header.Key));
        }
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task What_is_switched_off_is_405_for_whoever_may_and_on_every_route(string route)
    {
        var row = RouteTable.Rows.Single(row => row.Route == route);
        var verb = route.Split(' ')[0];
        var changes = row.Need is "push" or "delete" && verb is not ("GET" or "HEAD");
        var registry = await table.RegistryAsync(AuthMode.Several);
        var settings = registry.App.Services.GetRequiredService<IOptions<OciRegistryOptions>>().Value;
        var target = await RouteTable.PrepareAsync(registry, row, "root");
        try
        {
            settings.Deletes.Enabled = false;
            if (row.Need == "delete")
            {
                await IsAnsweredAsync(HttpStatusCode.MethodNotAllowed, "root");
                await IsAnsweredAsync(HttpStatusCode.Forbidden, "stranger");
            }

            settings.ReadOnly = true;
            if (changes)
            {
                await IsAnsweredAsync(HttpStatusCode.MethodNotAllowed, "root");
                await IsAnsweredAsync(HttpStatusCode.Forbidden, "stranger");
            }
            else if (row.Need is "pull" or "push")
            {
                await IsAnsweredAsync(row.Status, "root");
            }
        }
        finally
        {
            (settings.Deletes.Enabled, settings.ReadOnly) = (true, false);
        }

        async Task IsAnsweredAsync(HttpStatusCode status, string user)
        {
            using var response = await registry.SendAsync(user, () => row.Request(target));
            await response.ShouldHaveStatusAsync(status);
        }
    }

    [Theory]
    [MemberData(nameof(Routes))]
    public async Task A_page_of_another_site_changes_nothing_on_any_route(string route)
    {
        var row = RouteTable.Rows.Single(row => row.Route == route);
        var verb = route.Split(' ')[0];
        foreach (var mode in new[] { AuthMode.Open, AuthMode.Several })
        {
            var registry = await table.RegistryAsync(mode);
            if (mode == AuthMode.Open && row.IsTokenService)
            {
                continue;
            }

            var target = await RouteTable.PrepareAsync(registry, row, "root");
            using var response = await registry.SendAsync("root", () =>
            {
                var request = row.Request(target);
                request.Headers.Add("Origin", "http://evil.example");
                request.Headers.Add("Sec-Fetch-Site", "cross-site");
                return request;
            });

            await response.ShouldHaveStatusAsync(verb is "GET" or "HEAD" or "ANY" ? row.Status : HttpStatusCode.Forbidden);
        }
    }

    [Theory]
    [InlineData("/admin/robots")]
    [InlineData("/admin/prefetch")]
    public async Task A_body_that_is_not_declared_as_json_is_not_read(string path)
    {
        var registry = await table.RegistryAsync(AuthMode.Basic);
        foreach (var type in new[] { null, "text/plain", "application/x-www-form-urlencoded" })
        {
            using var response = await registry.SendAsync("root", () => new HttpRequestMessage(HttpMethod.Post, path)
            {
                Content = new ByteArrayContent("{}"u8.ToArray()) { Headers = { ContentType = type is null ? null : new MediaTypeHeaderValue(type) } },
            });

            await response.ShouldBeErrorAsync(HttpStatusCode.UnsupportedMediaType, "UNSUPPORTED");
        }
    }

    private static string Shape(string body) => RequestId().Replace(body, "");

    private static IEnumerable<string> MethodsOf(RouteEndpoint endpoint) =>
        endpoint.Metadata.GetMetadata<HttpMethodMetadata>()?.HttpMethods ?? ["ANY"];

    private static string TemplateOf(RouteEndpoint endpoint) =>
        endpoint.DisplayName?.Split(' ').Last() is { } shown && shown.StartsWith("/v2", StringComparison.Ordinal)
            ? shown
            : endpoint.RoutePattern.RawText!;

    [GeneratedRegex("\"requestId\":\"[^\"]*\"")]
    private static partial Regex RequestId();
}

/// <summary>What each route needs, and a registry in each mode.</summary>
public sealed class RouteTable : IAsyncLifetime
{
    /// <summary>
    /// Each with the right of its name in the repositories of the table, but for a stranger; a lead administers them, a neighbour
    /// administers others. Their password is their name.
    /// </summary>
    internal static readonly string[] Users = ["puller", "pusher", "deleter", "stranger", "lead", "neighbour", "operator", "root"];

    private static readonly byte[] Content = RegistryClient.RandomBytes(100);

    private readonly Dictionary<AuthMode, GuardedRegistry> _registries = [];

    internal static Row[] Rows { get; } =
    [
        new("GET /v2/", "log in", HttpStatusCode.OK, _ => Get("/v2/")),
        new("HEAD /v2/", "log in", HttpStatusCode.OK, _ => Head("/v2/")),
        new("GET /v2/_catalog", "list", HttpStatusCode.OK, _ => Get("/v2/_catalog")),
        new("HEAD /v2/_catalog", "list", HttpStatusCode.OK, _ => Head("/v2/_catalog")),
        new("GET /v2/{name}/blobs/{digest}", "pull", HttpStatusCode.OK, at => Get($"/v2/{at.Repository}/blobs/{at.Blob}")),
        new("HEAD /v2/{name}/blobs/{digest}", "pull", HttpStatusCode.OK, at => Head($"/v2/{at.Repository}/blobs/{at.Blob}")),
        new("GET /v2/{name}/manifests/{reference}", "pull", HttpStatusCode.OK, at => Get($"/v2/{at.Repository}/manifests/v1")),
        new("HEAD /v2/{name}/manifests/{reference}", "pull", HttpStatusCode.OK, at => Head($"/v2/{at.Repository}/manifests/v1")),
        new("GET /v2/{name}/tags/list", "pull", HttpStatusCode.OK, at => Get($"/v2/{at.Repository}/tags/list")),
        new("HEAD /v2/{name}/tags/list", "pull", HttpStatusCode.OK, at => Head($"/v2/{at.Repository}/tags/list")),
        new("GET /v2/{name}/referrers/{digest}", "pull", HttpStatusCode.OK, at => Get($"/v2/{at.Repository}/referrers/{at.Blob}")),
        new("HEAD /v2/{name}/referrers/{digest}", "pull", HttpStatusCode.OK, at => Head($"/v2/{at.Repository}/referrers/{at.Blob}")),
        new("POST /v2/{name}/blobs/uploads/", "push", HttpStatusCode.Accepted, at => Send("POST", $"/v2/{at.Repository}/blobs/uploads/")),
        new("PATCH /v2/{name}/blobs/uploads/{session}", "push", HttpStatusCode.Accepted, at => Send("PATCH", Upload(at), Content)),
        new("PUT /v2/{name}/blobs/uploads/{session}", "push", HttpStatusCode.Created, at => Send("PUT", $"{Upload(at)}?digest={Digest.Of(Content)}", Content)),
        new("GET /v2/{name}/blobs/uploads/{session}", "push", HttpStatusCode.NoContent, at => Get(Upload(at))),
        new("HEAD /v2/{name}/blobs/uploads/{session}", "push", HttpStatusCode.NoContent, at => Head(Upload(at))),
        new("DELETE /v2/{name}/blobs/uploads/{session}", "push", HttpStatusCode.NoContent, at => Send("DELETE", Upload(at))),
        new("PUT /v2/{name}/manifests/{reference}", "push", HttpStatusCode.Created, at => PutManifest(at.Repository)),
        new("DELETE /v2/{name}/manifests/{reference}", "delete", HttpStatusCode.Accepted, at => Send("DELETE", $"/v2/{at.Repository}/manifests/v1")),
        new("DELETE /v2/{name}/blobs/{digest}", "delete", HttpStatusCode.Accepted, at => Send("DELETE", $"/v2/{at.Repository}/blobs/{at.Blob}")),
        new("ANY /v2/{**path}", null, HttpStatusCode.NotFound, _ => Get("/v2/what/is/this")),
        new("GET /token", null, HttpStatusCode.OK, _ => Get("/token")) { IsTokenService = true },
        new("POST /token", null, HttpStatusCode.BadRequest, _ => Send("POST", "/token")) { IsTokenService = true },
        new("GET /token/keys", null, HttpStatusCode.OK, _ => Get("/token/keys")) { IsTokenService = true },
        new("GET /livez", null, HttpStatusCode.OK, _ => Get("/livez")),
        new("HEAD /livez", null, HttpStatusCode.OK, _ => Head("/livez")),
        new("GET /startupz", null, HttpStatusCode.OK, _ => Get("/startupz")),
        new("HEAD /startupz", null, HttpStatusCode.OK, _ => Head("/startupz")),
        new("GET /readyz", null, HttpStatusCode.OK, _ => Get("/readyz")),
        new("HEAD /readyz", null, HttpStatusCode.OK, _ => Head("/readyz")),
        new("GET /metrics", null, HttpStatusCode.OK, _ => Get("/metrics")),
        new("HEAD /metrics", null, HttpStatusCode.OK, _ => Head("/metrics")),
        new("GET /admin/uploads", "admin", HttpStatusCode.OK, _ => Get("/admin/uploads")) { Elsewhere = HttpStatusCode.OK },
        new("HEAD /admin/uploads", "admin", HttpStatusCode.OK, _ => Head("/admin/uploads")) { Elsewhere = HttpStatusCode.OK },
        new("GET /admin/uploads/{session}", "admin", HttpStatusCode.OK, at => Get($"/admin/uploads/{at.Session}")),
        new("HEAD /admin/uploads/{session}", "admin", HttpStatusCode.OK, at => Head($"/admin/uploads/{at.Session}")),
        new("DELETE /admin/uploads/{session}", "admin", HttpStatusCode.NoContent, at => Send("DELETE", $"/admin/uploads/{at.Session}")),
        new("GET /admin/robots", "admin", HttpStatusCode.OK, _ => Get("/admin/robots")) { Elsewhere = HttpStatusCode.OK },
        new("HEAD /admin/robots", "admin", HttpStatusCode.OK, _ => Head("/admin/robots")) { Elsewhere = HttpStatusCode.OK },
        new("POST /admin/robots", "admin", HttpStatusCode.Created, _ => SendJson("/admin/robots", NewRobot()))
        {
            Elsewhere = HttpStatusCode.Forbidden,
            Off = HttpStatusCode.BadRequest,
        },
        new("DELETE /admin/robots/{name}", "admin", HttpStatusCode.NoContent, at => Send("DELETE", $"/admin/robots/{at.Robot}")),
        new("GET /admin/explain", "admin", HttpStatusCode.OK, at => Get($"/admin/explain?subject=a&repository={at.Repository}&action=pull"))
        {
            Elsewhere = HttpStatusCode.Forbidden,
        },
        new("HEAD /admin/explain", "admin", HttpStatusCode.OK, at => Head($"/admin/explain?subject=a&repository={at.Repository}&action=pull"))
        {
            Elsewhere = HttpStatusCode.Forbidden,
        },
        new("GET /admin/health", "operator", HttpStatusCode.OK, _ => Get("/admin/health")),
        new("HEAD /admin/health", "operator", HttpStatusCode.OK, _ => Head("/admin/health")),
        new("GET /admin/upstreams", "operator", HttpStatusCode.OK, _ => Get("/admin/upstreams")),
        new("HEAD /admin/upstreams", "operator", HttpStatusCode.OK, _ => Head("/admin/upstreams")),
        new("POST /admin/prefetch", "operator", HttpStatusCode.BadRequest, _ => SendJson("/admin/prefetch", Prefetch())),
    ];

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        foreach (var registry in _registries.Values)
        {
            await registry.DisposeAsync();
        }
    }

    internal async Task<GuardedRegistry> RegistryAsync(AuthMode mode)
    {
        if (!_registries.TryGetValue(mode, out var registry))
        {
            registry = _registries[mode] = await GuardedRegistry.StartAsync(
                mode,
                Users,
                [
                    Allow("puller", "test/**", "pull"),
                    Allow("pusher", "test/**", "push"),
                    Allow("deleter", "test/**", "delete"),
                    Allow("stranger", "elsewhere/**", "pull", "push", "delete"),
                    Allow("lead", "test/**", "pull", "admin"),
                    Allow("neighbour", "elsewhere/**", "pull", "admin"),
                    Allow("operator", "**", "admin"),
                    Allow("root", "**", "pull", "push", "delete", "admin"),
                ],
                options => options.Auth.Robots = mode != AuthMode.Open);
        }

        return registry;
    }

    /// <summary>Whichever way they log in.</summary>
    private static PolicyOptions Allow(string user, string repositories, params string[] actions) => new()
    {
        Subjects = [$"user:{user}", $"{GuardedRegistry.Issuer}:{user}"],
        Repositories = [repositories],
        Actions = [.. actions],
    };

    /// <summary>A repository with a blob, a tagged manifest, and an upload session.</summary>
    internal static async Task<Target> PrepareAsync(GuardedRegistry registry, Row row, string? user)
    {
        var repository = RegistryClient.NewRepository();
        using var root = await registry.ClientOfAsync("root", repository);
        var blob = await root.PushBlobAsync(repository, RegistryClient.RandomBytes(10));
        using var pushed = await root.SendAsync(PutManifest(repository));
        pushed.StatusCode.ShouldBe(HttpStatusCode.Created);

        // Who may push has a session of his own; all others are kept off another's.
        var owner = row.Need == "push" && user is not null && row.May(user) ? user : "root";
        using var client = await registry.ClientOfAsync(owner, repository);
        var location = await client.NewUploadAsync(repository);
        var robot = $"r{Guid.NewGuid():n}";
        await registry.App.Services.GetRequiredService<RobotAccounts>().CreateAsync(
            robot, new PolicyOptions { Repositories = ["test/**"], Actions = ["pull"] }, null, null, CancellationToken.None);
        return new Target(repository, blob, location.Split('?')[0].Split('/').Last(), robot);
    }

    private static HttpRequestMessage Get(string path) => new(HttpMethod.Get, path);

    private static HttpRequestMessage Head(string path) => new(HttpMethod.Head, path);

    private static HttpRequestMessage Send(string method, string path, byte[]? body = null) =>
        new(new HttpMethod(method), path) { Content = new ByteArrayContent(body ?? []) };

    private static HttpRequestMessage SendJson(string path, byte[] body)
    {
        var request = Send("POST", path, body);
        request.Content!.Headers.ContentType = new MediaTypeHeaderValue("application/json");
        return request;
    }

    private static string Upload(Target at) => $"/v2/{at.Repository}/blobs/uploads/{at.Session}";

    private static HttpRequestMessage PutManifest(string repository)
    {
        var request = Send("PUT", $"/v2/{repository}/manifests/v1", Encoding.UTF8.GetBytes(
            $$"""{"schemaVersion":2,"mediaType":"{{MediaTypes.ImageIndex}}","manifests":[]}"""));
        request.Content!.Headers.TryAddWithoutValidation("Content-Type", MediaTypes.ImageIndex);
        return request;
    }

    private static byte[] NewRobot() => Encoding.UTF8.GetBytes(
        $$"""{"name":"r{{Guid.NewGuid():n}}","repositories":["test/**"],"actions":["pull"]}""");

    // Without upstreams there is nothing to fetch from.
    private static byte[] Prefetch() => Encoding.UTF8.GetBytes("""{"references":["hub/library/alpine:3"]}""");

    internal sealed record Target(string Repository, Digest Blob, string Session, string Robot);

    /// <param name="Route">Method and template.</param>
    /// <param name="Need">The right; "log in" and "list" for anybody who has one, null for everybody.</param>
    /// <param name="Status">What who may is answered.</param>
    /// <param name="Request">The request.</param>
    internal sealed record Row(string Route, string? Need, HttpStatusCode Status, Func<Target, HttpRequestMessage> Request)
    {
        public bool IsTokenService { get; init; }

        /// <summary>What who administers other repositories is answered.</summary>
        public HttpStatusCode Elsewhere { get; init; } = HttpStatusCode.NotFound;

        /// <summary>What who may is answered while the route's feature is switched off; null for the same.</summary>
        public HttpStatusCode? Off { get; init; }

        /// <summary>Whether it changes what it is sent to, or is for the owner of an upload.</summary>
        public bool Changes => Need is "push" or "delete" || Route.StartsWith("DELETE", StringComparison.Ordinal);

        public bool May(string? user) => Need switch
        {
            null => true,
            "log in" or "list" => user is not null,
            "pull" => user is "puller" or "lead" or "root",
            "push" => user is "pusher" or "root",
            "delete" => user is "deleter" or "root",
            "admin" => user is "lead" or "operator" or "root",
            "operator" => user is "operator" or "root",
            _ => throw new InvalidOperationException(Need),
        };

        public string ScopeOf(Target at) => Need switch
        {
            "list" => "registry:catalog:*",
            "admin" or "operator" => "registry:admin:*",
            "push" => $"repository:{at.Repository}:pull,push",
            _ => $"repository:{at.Repository}:{Need}",
        };
    }
}

using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>Groups 17 and 18: logins that are none, guesses, and what is written into the answers to them.</summary>
public sealed class HostileLoginTests(TokenRegistry tokens) : IClassFixture<TokenRegistry>, IAsyncLifetime
{
    private HttpClient Http => tokens.Http;

    private Uri Url => tokens.Registry.Url;

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync() => await tokens.ShouldBeUnharmedAsync();

    // --- 17: the Authorization header -----------------------------------------------------------------------------

    public static TheoryData<string> BadHeaders =>
    [
        "Basic", "Basic ", "Basic !", "Basic YWxpY2U=" /* no colon */, "Basic YWxpY2U6d29uZGVyOmxhbmQ" /* no padding */,
        "Basic alice:wonder:land", "Basic YWxpY2U6d29uZGVyOmxhbmQ= x", "Basic realm=\"x\"", "Basic ====", "Basic 8J+SqQ==",
        "Digest username=\"alice\"", "Negotiate YII=", "NTLM TlRMTVNTUAAB", "AWS4-HMAC-SHA256 Credential=x", "token x", "Bearer",
        "alice:wonder:land", "YWxpY2U6d29uZGVyOmxhbmQ=", ",", "=", "\"",
        "Bearer, Basic YWxpY2U6d29uZGVyOmxhbmQ=", "Basic \u00e4", "\u00e4 YWxpY2U6d29uZGVyOmxhbmQ=",
    ];

    [Theory]
    [MemberData(nameof(BadHeaders))]
    public async Task A_header_that_is_no_login_is_refused(string header)
    {
        foreach (var path in new[] { "/v2/", "/v2/test/a/tags/list", "/token" })
        {
            var answer = await RawHttp.AskAsync(Url, $"GET {path} HTTP/1.1\r\nAuthorization: {header}");

            answer.ShouldBeRefused("UNAUTHORIZED");
            if (answer.Status == 401)
            {
                answer.Headers["WWW-Authenticate"].ShouldHaveSingleItem().ShouldStartWith("Bearer realm=\"http://127.0.0.1:");
            }
        }
    }

    [Fact]
    public async Task Two_headers_are_refused_even_if_both_are_right()
    {
        var (name, value) = Basic("alice", AuthFolder.AlicesPassword);
        foreach (var second in new[] { value, "Bearer x", "Basic Og==" })
        {
            var answer = await RawHttp.AskAsync(Url, $"GET /v2/ HTTP/1.1\r\n{name}: {value}\r\n{name}: {second}");

            answer.Status.ShouldBe(401);
            answer.Codes.ShouldBe(["UNAUTHORIZED"]);
        }
    }

    public static TheoryData<string, string> WrongLogins => new()
    {
        { "", AuthFolder.AlicesPassword },
        { "alice", "" },
        { "alice", "wonder:land\0" },
        { "alice", "\0wonder:land" },
        { "alice\0", AuthFolder.AlicesPassword },
        { "Alice", AuthFolder.AlicesPassword },
        { " alice", AuthFolder.AlicesPassword },
        { "alice ", AuthFolder.AlicesPassword },
        { "user:alice", AuthFolder.AlicesPassword },
        { "alice", "Wonder:land" },
        { "alice", "wonder:land " },
        { "alice", new string('x', 73) },
        { "alice", new string('x', 15_000) },
        { new string('a', 15_000), "x" },
        { "alice\r\nX-Evil: x", "x" },
        { "*", "*" },
        { "robot+ci", "x" },
        { "%61lice", AuthFolder.AlicesPassword },
        { "\u0430lice", AuthFolder.AlicesPassword }, // a Cyrillic one
    };

    [Theory]
    [MemberData(nameof(WrongLogins))]
    public async Task A_login_that_is_not_exactly_right_is_refused(string name, string password)
    {
        using var got = await Http.RequestAsync("GET", "/v2/", Basic(name, password));
        await got.ShouldBeChallengedAsync();
        using var posted = await Http.PostTokenAsync(("grant_type", "password"), ("username", name), ("password", password));
        if ((name + password).Contains('\0'))
        {
            await posted.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "UNSUPPORTED"); // no form has one
        }
        else
        {
            await posted.ShouldBeChallengedAsync();
        }
    }

    /// <summary>bcrypt looks at 72 bytes, so that with more another password would do as well.</summary>
    [Fact]
    public async Task A_password_is_compared_to_its_end()
    {
        using var folder = new AuthFolder();
        var password = new string('p', 72);
        folder.SetUsers(("alice", password));
        await using var registry = await TokenRegistry.StartAsync(folder);

        await registry.Http.TokenAsync("alice", password);
        using var longer = await registry.Http.AskTokenAsync("", Basic("alice", password + "x"));
        await longer.ShouldBeChallengedAsync();
        using var shorter = await registry.Http.AskTokenAsync("", Basic("alice", password[1..]));
        await shorter.ShouldBeChallengedAsync();
    }

    [Fact]
    public async Task Who_is_there_cannot_be_told_from_the_answer()
    {
        using var wrong = await Http.RequestAsync("GET", "/v2/", Basic("alice", "wrong"));
        using var unknown = await Http.RequestAsync("GET", "/v2/", Basic("nobody", "wrong"));

        (await TextOf(unknown)).ShouldBe(await TextOf(wrong));

        static async Task<string> TextOf(HttpResponseMessage answer)
        {
            var id = answer.Header("X-Request-Id")!;
            var headers = answer.Headers.Concat(answer.Content.Headers).Where(header => header.Key != "Date")
                .Select(header => $"{header.Key}: {string.Join(',', header.Value)}");
            return $"{answer.StatusCode}\n{string.Join('\n', headers)}\n{await answer.Content.ReadAsStringAsync()}".Replace(id, "");
        }
    }

    /// <summary>A hash that bcrypt cannot read shows that it was asked: an answer without it would come too soon.</summary>
    [Fact]
    public async Task A_login_of_an_unknown_user_is_verified_by_bcrypt_as_any_other()
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(folder);
        var logins = registry.Services.GetRequiredService<Logins>();
        (await VerifyAsync()).Outcome.ShouldBe(LoginOutcome.Wrong);
        NobodyOf(registry.Services.GetRequiredService<AuthFiles>().Users!) = new HtpasswdUser("", "$2y$04$");

        await Should.ThrowAsync<Exception>(VerifyAsync);

        async Task<LoginResult> VerifyAsync() => await logins.VerifyAsync("unknown", "password", IPAddress.Loopback, CancellationToken.None);
    }

    [Fact]
    public void Who_is_not_there_costs_as_much_as_who_costs_most()
    {
        var users = Parse($"a:{AuthFolder.HashOf("x", 4)}\nb:{AuthFolder.HashOf("x", 7)}\nc:{AuthFolder.HashOf("x", 5)}");

        users.Nobody.Cost.ShouldBe(7);
        Parse("# nobody yet").Nobody.Cost.ShouldBe(Htpasswd.DefaultCost);
        Parse($"a:{AuthFolder.HashOf("x", 4)}").Nobody.Hash.ShouldNotBe(Parse($"a:{AuthFolder.HashOf("x", 4)}").Nobody.Hash);
    }

    [UnsafeAccessor(UnsafeAccessorKind.Field, Name = "<Nobody>k__BackingField")]
    private static extern ref HtpasswdUser NobodyOf(Htpasswd users);

    // --- 17: guessing ---------------------------------------------------------------------------------------------

    [Fact]
    public async Task Who_guesses_is_not_listened_to_and_is_in_nobody_elses_way()
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(folder, options => options.Auth.MaxFailedLogins = 3);
        var token = await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword);
        for (var i = 0; i < 3; i++)
        {
            using var wrong = await registry.Http.RequestAsync("GET", "/v2/", Basic("alice", $"guess {i}"));
            await wrong.ShouldBeChallengedAsync();
        }

        HttpResponseMessage[] blocked =
        [
            await registry.Http.RequestAsync("GET", "/v2/", Basic("alice", "guess")),
            await registry.Http.RequestAsync("GET", "/v2/", Basic("nobody", "guess")),
            await registry.Http.AskTokenAsync("", Basic("bob", AuthFolder.BobsPassword)), // right, and not looked at
            await registry.Http.PostTokenAsync(("grant_type", "password"), ("username", "alice"), ("password", "guess")),
        ];
        foreach (var answer in blocked)
        {
            await answer.ShouldBeErrorAsync(HttpStatusCode.TooManyRequests, "TOOMANYREQUESTS");
            answer.Header("Retry-After").ShouldBe("60");
            answer.Header("WWW-Authenticate").ShouldBeNull();
            (await answer.Content.ReadAsStringAsync()).ShouldContain("Too many logins from your address have failed");
            answer.Dispose();
        }

        using var known = await registry.Http.RequestAsync("GET", "/v2/", Basic("alice", AuthFolder.AlicesPassword));
        await known.ShouldHaveStatusAsync(HttpStatusCode.OK);
        using var withToken = await registry.Http.RequestAsync("GET", "/v2/", Bearer(token));
        await withToken.ShouldHaveStatusAsync(HttpStatusCode.OK);
        using var anonymous = await registry.Http.AskTokenAsync("");
        await anonymous.ShouldHaveStatusAsync(HttpStatusCode.OK);
        using var elsewhere = TokenClient.From("127.0.0.2", registry.Url);
        await elsewhere.TokenAsync("bob", AuthFolder.BobsPassword);
    }

    [Fact]
    public async Task Many_guesses_at_once_are_no_more_than_one_after_the_other()
    {
        using var folder = new AuthFolder();
        await File.WriteAllTextAsync(folder.Htpasswd, $"alice:{AuthFolder.HashOf(AuthFolder.AlicesPassword, 10)}"); // so that they queue
        await using var registry = await TokenRegistry.StartAsync(folder, options => options.Auth.MaxFailedLogins = 3);

        var answers = await Task.WhenAll(Enumerable.Range(0, 40).Select(async i =>
        {
            using var answer = await registry.Http.RequestAsync("GET", "/v2/", Basic("alice", $"guess {i}"));
            return answer.StatusCode;
        }));

        // As many again may be computing while the last that is too many fails.
        answers.Count(status => status == HttpStatusCode.Unauthorized).ShouldBeInRange(3, 3 + Math.Max(1, Environment.ProcessorCount / 2));
        answers.ShouldAllBe(status => status == HttpStatusCode.Unauthorized || status == HttpStatusCode.TooManyRequests);
    }

    [Fact]
    public async Task The_answer_to_a_failed_login_is_held_back()
    {
        using var folder = new AuthFolder();
        var time = new ManualTimeProvider();
        await using var registry = await TokenRegistry.StartAsync(
            folder,
            options => (options.Auth.FailedLoginDelay, options.Auth.MaxFailedLogins) = (TimeSpan.FromSeconds(30), 1),
            time);
        var failures = registry.Services.GetRequiredService<FailedLogins>();

        var answering = registry.Http.RequestAsync("GET", "/v2/", Basic("alice", "wrong"));

        await Until.TrueAsync(() => failures.TooMany(IPAddress.Loopback), "the login has failed");
        using var another = await registry.Http.RequestAsync("GET", "/v2/");
        await another.ShouldBeChallengedAsync();
        answering.IsCompleted.ShouldBeFalse();
        await Until.TrueAsync(
            () =>
            {
                time.Advance(TimeSpan.FromSeconds(30));
                return answering.IsCompleted;
            },
            "the login is answered");
        using var answer = await answering;
        await answer.ShouldBeChallengedAsync();
    }

    [Theory]
    [InlineData("10.0.0.1", "10.0.0.1", true)]
    [InlineData("10.0.0.1", "10.0.0.2", false)]
    [InlineData("10.0.0.1", "::ffff:10.0.0.1", true)]
    [InlineData("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true)]
    [InlineData("2001:db8::1", "2001:db8:0:1::1", false)]
    [InlineData("2001:db8::1", "10.0.0.1", false)]
    [InlineData("::ffff:10.0.0.1", "::ffff:10.0.0.2", false)]
    public void Failures_count_by_address_and_by_network_of_IPv6(string guesser, string other, bool isSame)
    {
        var options = new OciRegistryOptions();
        options.Auth.MaxFailedLogins = 2;
        using var failures = new FailedLogins(Options.Create(options));
        var address = IPAddress.Parse(guesser);

        failures.TooMany(address).ShouldBeFalse();
        failures.Add(address);
        failures.TooMany(address).ShouldBeFalse();
        failures.Add(address);
        failures.TooMany(address).ShouldBeTrue();
        failures.TooMany(IPAddress.Parse(other)).ShouldBe(isSame);
        failures.TooMany(null).ShouldBeFalse();
    }

    [Fact]
    public void Guesses_from_many_networks_of_one_customer_count_together()
    {
        var options = new OciRegistryOptions();
        options.Auth.MaxFailedLogins = 2;
        using var failures = new FailedLogins(Options.Create(options));
        for (var i = 0; i < 2 * ClientNetwork.WideFactor; i++)
        {
            failures.TooMany(Of(i)).ShouldBeFalse();
            failures.Add(Of(i));
        }

        failures.TooMany(Of(0xff)).ShouldBeTrue();
        failures.TooMany(Of(0x100)).ShouldBeFalse();

        static IPAddress Of(int network) => IPAddress.Parse($"2001:db8:0:{network:x}::1");
    }

    [Fact]
    public async Task A_user_who_was_seen_from_an_address_logs_in_while_others_guess_there()
    {
        using var folder = new AuthFolder();
        var time = new ManualTimeProvider();
        await using var registry = await TokenRegistry.StartAsync(folder, options => options.Auth.MaxFailedLogins = 3, time);
        using var elsewhere = TokenClient.From("127.0.0.2", registry.Url);
        await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword);
        await elsewhere.TokenAsync("bob", AuthFolder.BobsPassword);
        (await LoginAsync(elsewhere, "alice", AuthFolder.AlicesPassword)).ShouldBe(HttpStatusCode.OK); // not verified anew
        time.Advance(TimeSpan.FromHours(2)); // nothing that was right is known any more
        foreach (var http in new[] { registry.Http, elsewhere })
        {
            for (var i = 0; i < 3; i++)
            {
                (await LoginAsync(http, "nobody", $"guess {i}")).ShouldBe(HttpStatusCode.Unauthorized);
            }
        }

        (await LoginAsync(registry.Http, "bob", AuthFolder.BobsPassword)).ShouldBe(HttpStatusCode.TooManyRequests); // never here
        (await LoginAsync(elsewhere, "bob", AuthFolder.BobsPassword)).ShouldBe(HttpStatusCode.OK);
        (await LoginAsync(elsewhere, "alice", AuthFolder.AlicesPassword)).ShouldBe(HttpStatusCode.OK);
        time.Advance(TimeSpan.FromHours(2));
        for (var i = 0; i < 3; i++)
        {
            (await LoginAsync(registry.Http, "alice", $"guess {i}")).ShouldBe(HttpStatusCode.Unauthorized);
        }

        // Whoever guesses hers has as many guesses as before, and no more.
        (await LoginAsync(registry.Http, "alice", "guess")).ShouldBe(HttpStatusCode.TooManyRequests);
        (await LoginAsync(registry.Http, "alice", AuthFolder.AlicesPassword)).ShouldBe(HttpStatusCode.TooManyRequests);
        (await LoginAsync(elsewhere, "alice", AuthFolder.AlicesPassword)).ShouldBe(HttpStatusCode.OK);

        static async Task<HttpStatusCode> LoginAsync(HttpClient http, string user, string password)
        {
            using var answer = await http.RequestAsync("GET", "/v2/", Basic(user, password));
            return answer.StatusCode;
        }
    }

    /// <summary>The limiter is looked after every 100 ms: no part of a minute is a further guess.</summary>
    [Fact]
    public async Task Who_waits_a_moment_is_not_listened_to_either()
    {
        var options = new OciRegistryOptions();
        options.Auth.MaxFailedLogins = 2;
        using var failures = new FailedLogins(Options.Create(options));
        failures.Add(IPAddress.Loopback);
        failures.Add(IPAddress.Loopback);

        for (var started = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(started) < TimeSpan.FromSeconds(1);)
        {
            failures.TooMany(IPAddress.Loopback).ShouldBeTrue();
            await Task.Delay(10);
        }
    }

    // --- 17: the file ---------------------------------------------------------------------------------------------

    private const string Hash = "$2y$04$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZabcde"; // of nothing

    public static TheoryData<string, string> BadLines => new()
    {
        { $"alice:{Hash.Replace("$04$", "$31$")}", "cost 31" },
        { $"alice:{Hash.Replace("$04$", "$15$")}", "cost 15" },
        { $"alice:{Hash.Replace("$04$", "$03$")}", "cost 3" },
        { $"alice:{Hash.Replace("$04$", "$4$$")}", "no bcrypt hash" },
        { $"alice:{Hash.Replace("$2y", "$2x")}", "no bcrypt hash" },
        { $"alice:{Hash}x", "no bcrypt hash" },
        { $"alice:{Hash[..^1]}", "no bcrypt hash" },
        { $"alice:{Hash[..^1]}\u00e4", "no bcrypt hash" },
        { $"alice:{Hash}:x", "no bcrypt hash" },
        { $"alice: {Hash}", "no bcrypt hash" },
        { "alice:$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00", "no bcrypt hash" },
        { "alice:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=", "no bcrypt hash" },
        { "alice:rqXexS6ZhobKA", "no bcrypt hash" },
        { "alice:hunter2", "no bcrypt hash" },
        { "alice:", "no bcrypt hash" },
        { "alice", "no bcrypt hash" },
        { $":{Hash}", "user's name" },
        { $"al ice:{Hash}", "user's name" },
        { $"al/ice:{Hash}", "user's name" },
        { $"al*:{Hash}", "user's name" },
        { $"al\u00efce:{Hash}", "user's name" },
        { $"al\0ice:{Hash}", "user's name" },
        { $"{new string('a', 129)}:{Hash}", "user's name" },
        { $"robot+ci:{Hash}", "names of robots" },
        { $"bob:{Hash}", "there already" },
    };

    [Theory]
    [MemberData(nameof(BadLines))]
    public void A_line_that_cannot_be_used_is_named_by_its_number_and_not_by_its_secret(string line, string says)
    {
        var problem = Should.Throw<UnusableFileException>(() => Parse($"# users\r\nbob:{Hash}\r\n\r\n{line}\r\n"))
            .Problems.ShouldHaveSingleItem();

        problem.ShouldStartWith("'users': Line 4: ");
        problem.ShouldContain(says);
        problem.ShouldNotContain("$");
        problem.ShouldNotContain("hunter2");
        problem.ShouldNotContain("VBPuJHI7");
    }

    [Fact]
    public async Task A_registry_does_not_start_with_such_a_file_and_says_all_that_is_wrong_with_it()
    {
        using var folder = new AuthFolder();
        await File.WriteAllLinesAsync(folder.Htpasswd, [$"alice:{Hash}", "bob:hunter2", $"alice:{Hash}", "robot+x:y"]);

        var stopped = await Should.ThrowAsync<OptionsValidationException>(() => TokenRegistry.StartAsync(folder));

        stopped.Failures.Count().ShouldBe(3);
        stopped.Message.ShouldContain("Line 2: This is no bcrypt hash.");
        stopped.Message.ShouldContain("Line 3: User 'alice' is there already.");
        stopped.Message.ShouldContain("Line 4: 'robot+' is what the names of robots begin with.");
        stopped.Message.ShouldNotContain("hunter2");
    }

    [Fact]
    public async Task A_file_that_breaks_later_counts_as_it_was_which_is_said_once()
    {
        using var folder = new AuthFolder();
        var time = new ManualTimeProvider();
        await using var registry = await TokenRegistry.StartAsync(folder, time: time);

        await File.WriteAllTextAsync(folder.Htpasswd, "alice:hunter2");
        await AdvanceUntilAsync(() => Errors().Length == 1);
        Errors()[0].ShouldContain("Line 1: This is no bcrypt hash.");
        Errors()[0].ShouldNotContain("hunter2");
        time.Advance(10 * AuthFilesService.Interval);
        await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword);
        File.Delete(folder.Htpasswd);
        await AdvanceUntilAsync(() => Errors().Length == 2);
        Errors()[1].ShouldContain("It cannot be read");
        time.Advance(10 * AuthFilesService.Interval);
        await registry.Http.TokenAsync("bob", AuthFolder.BobsPassword);

        folder.SetUsers(("alice", "another"));
        await AdvanceUntilAsync(async () =>
        {
            using var answer = await registry.Http.AskTokenAsync("", Basic("alice", "another"));
            return answer.StatusCode == HttpStatusCode.OK;
        });
        Errors().Length.ShouldBe(2);

        string[] Errors() => [.. registry.Log.Lines.Where(line => line.StartsWith("Error"))];

        Task AdvanceUntilAsync<T>(Func<T> condition) => Until.TrueAsync(
            async () =>
            {
                time.Advance(AuthFilesService.Interval);
                return condition() is Task<bool> answer ? await answer : condition() is true;
            },
            "the file has been looked at");
    }

    // --- 18: what is written into the answer ----------------------------------------------------------------------

    [Theory]
    [InlineData("evil.example", "http://evil.example/token")]
    [InlineData("evil.example:8080", "http://evil.example:8080/token")]
    [InlineData("[::1]:5000", "http://[::1]:5000/token")]
    [InlineData("xn--99999999999", "http://xn--99999999999/token")]
    [InlineData("xn--bcher-kva.example", "http://xn--bcher-kva.example/token")]
    [InlineData("a\"b", null)]
    [InlineData("a\",error=\"x", null)]
    [InlineData("a b", null)]
    [InlineData("a/b", null)]
    [InlineData("a@b", null)]
    [InlineData("a\\b", null)]
    [InlineData("a?b", null)]
    [InlineData("a#b", null)]
    [InlineData("a\u00e4", null)]
    [InlineData("a%22b", null)]
    [InlineData("a\rSet-Cookie: x", null)]
    [InlineData("a\r\nX-Evil: x", "http://a/token")]
    [InlineData("a\0", null)]
    [InlineData("", "http://127.0.0.1:")] // the server's own address
    public async Task A_challenge_names_the_host_that_was_asked_and_nothing_else(string host, string? realm)
    {
        foreach (var path in new[] { "/v2/", "/v2/test/a/tags/list" })
        {
            await using var raw = await RawHttp.ConnectAsync(Url);
            await raw.SendAsync($"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
            var answer = await raw.ReadAsync();

            answer.ShouldBeRefused("UNAUTHORIZED");
            answer.Headers.Select(header => header.Key).ShouldNotContain(name => name.Contains("Evil") || name.Contains("Cookie"));
            if (realm is null && answer.Status != 401)
            {
                continue; // the server's own refusal
            }

            var challenge = answer.Headers["WWW-Authenticate"].ShouldHaveSingleItem();
            challenge.ShouldStartWith($"Bearer realm=\"{realm ?? "http://a"}");
            challenge.ShouldMatch("^Bearer realm=\"http://[a-zA-Z0-9.:_\\[\\]-]*/token\",service=\"oci-registry\"(,scope=\"repository:test/a:pull\")?$");
            answer.Headers["Cache-Control"].ShouldBe(["no-store"]);
        }
    }

    [Theory]
    [InlineData("xn--99999999999")]
    [InlineData("evil.example")]
    [InlineData("")]
    public async Task A_host_that_is_not_this_machine_is_shown_nothing_of_the_operators(string host)
    {
        await using var open = await RegistryApp.StartAsync();
        await using var raw = await RawHttp.ConnectAsync(open.Url);
        await raw.SendAsync($"GET /admin/uploads HTTP/1.1\r\nHost: {host}\r\n\r\n");

        var answer = await raw.ReadAsync();

        answer.Status.ShouldBe(403);
        answer.Codes.ShouldBe(["DENIED"]);
    }

    [Fact]
    public async Task A_challenge_of_a_configured_realm_names_that()
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(
            folder, options => options.Auth.Tokens.Realm = "https://registry.example.com/token");
        await using var raw = await RawHttp.ConnectAsync(registry.Url);
        await raw.SendAsync("GET /v2/ HTTP/1.1\r\nHost: evil.example\r\n\r\n");

        (await raw.ReadAsync()).Headers["WWW-Authenticate"].ShouldBe(
            ["Bearer realm=\"https://registry.example.com/token\",service=\"oci-registry\""]);
    }

    [Theory]
    [InlineData("GET", "/v2/test/a%22,error=%22x/tags/list")]
    [InlineData("GET", "/v2/test/a\"/tags/list")]
    [InlineData("GET", "/v2/test/a%0d%0aX-Evil:%20x/tags/list")]
    [InlineData("POST", "/v2/test/a/blobs/uploads/?mount=x&from=b%22,evil=%22")]
    [InlineData("POST", "/v2/test/a/blobs/uploads/?from=b%0d%0aX-Evil:%20x")]
    [InlineData("POST", "/v2/test/a/blobs/uploads/?from=b%20repository:c:*")]
    [InlineData("POST", "/v2/test/a/blobs/uploads/?from=b&from=%22")]
    [InlineData("GET", "/v2/test/a/tags/list?scope=%22evil")]
    [InlineData("GET", "/token?service=%22evil&scope=%22%0d%0aX-Evil:%20x")]
    public async Task A_challenge_repeats_names_and_nothing_else(string method, string target)
    {
        var answer = await RawHttp.AskAsync(
            Url, $"{method} {target} HTTP/1.1\r\nContent-Length: 0\r\nAuthorization: {Basic("alice", "wrong").Value}");

        answer.ShouldBeRefused("UNAUTHORIZED", "NAME_INVALID");
        answer.Headers["X-Evil"].ShouldBeEmpty();
        foreach (var challenge in answer.Headers["WWW-Authenticate"])
        {
            challenge.ShouldMatch("^Bearer realm=\"http://127.0.0.1:[0-9]+/token\",service=\"oci-registry\"(,scope=\"[a-z0-9:/, ]*\")?$");
            challenge.ShouldNotContain("evil");
        }
    }

    private static Htpasswd Parse(string content) => Htpasswd.Parse("users", Encoding.UTF8.GetBytes(content));
}

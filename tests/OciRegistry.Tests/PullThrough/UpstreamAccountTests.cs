using System.Runtime.Versioning;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;
using OciRegistry.PullThrough;
using OciRegistry.Tests.Operations;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.PullThrough;

/// <summary>Where the account of an upstream comes from, and what happens when the upstream refuses it.</summary>
[UnsupportedOSPlatform("windows")]
public sealed class UpstreamAccountTests : IAsyncLifetime
{
    private readonly ManualTimeProvider _time = new();
    private readonly string _folder = Directory.CreateTempSubdirectory("oci-registry-accounts-").FullName;
    private FakeUpstream _upstream = null!;

    public async ValueTask InitializeAsync()
    {
        _upstream = await FakeUpstream.StartAsync();
        _upstream.AddImage("a", "1");
    }

    public ValueTask DisposeAsync()
    {
        Directory.Delete(_folder, recursive: true);
        return _upstream.DisposeAsync();
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_refused_account_is_reported_once_until_it_is_accepted_again(bool isBearer)
    {
        Require("hunter2", isBearer);
        using var log = new LogCapture(LogLevel.Information);
        await using var registry = await PulledRegistry.StartAsync(
            up => (up.Username, up.Password) = ("somebody", "hunter2"),
            services: services => services.AddSingleton<ILoggerProvider>(log),
            fake: _upstream);
        await PullAsync("1", 200);

        Require("new", isBearer);
        _upstream.Tokens.EndAll();
        foreach (var tag in new[] { "2", "3" })
        {
            using var refused = await registry.Http.GetManifestAsync("up/a", tag);
            await refused.ShouldBeErrorAsync(System.Net.HttpStatusCode.Forbidden, "DENIED");
            (await refused.Content.ReadAsStringAsync()).ShouldContain("The upstream refused the account of this registry.");
        }

        Lines("refuses this registry's account").ShouldHaveSingleItem().ShouldStartWith("Warning: The upstream 'up'");
        Lines("accepts this registry's account again").ShouldBeEmpty();
        (await RefusedAsync(registry)).ShouldBe(2);
        (await registry.Http.GetStringAsync(new Uri("/admin/upstreams", UriKind.Relative))).ShouldContain("\"accountRefused\":true");

        Require("hunter2", isBearer);
        await PullAsync("4", 404);
        await PullAsync("5", 404);
        Lines("accepts this registry's account again").ShouldHaveSingleItem();
        log.Lines.ShouldAllBe(line => !line.Contains("hunter2", StringComparison.Ordinal));

        string[] Lines(string text) => [.. log.Lines.Where(line => line.Contains(text, StringComparison.Ordinal))];

        async Task PullAsync(string tag, int status)
        {
            using var pulled = await registry.Http.GetManifestAsync("up/a", tag);
            ((int)pulled.StatusCode).ShouldBe(status);
        }
    }

    [Fact]
    public async Task A_repository_that_an_accepted_account_may_not_pull_is_no_refused_account()
    {
        _upstream.RequireBearer("somebody", "secret");
        _upstream.Faults = call => call.Path.StartsWith("/v2/", StringComparison.Ordinal)
            ? new UpstreamFault { Status = 401, Headers = { ["WWW-Authenticate"] = $"Bearer realm=\"{_upstream.Url}token\"" } }
            : null;
        using var client = _upstream.Client(up => (up.Username, up.Password) = ("somebody", "secret"));

        using var answer = await client.GetAsync("a", "manifests/1");

        (answer.Outcome, answer.IsAccountRefused).ShouldBe((UpstreamOutcome.Denied, false));
        _upstream.Tokens.Issued.ShouldBe(1);
    }

    [Theory]
    [InlineData("invalid_token", true)]
    [InlineData("insufficient_scope", false)]
    public async Task A_token_of_the_settings_is_refused_unless_it_lacks_a_right(string error, bool isRefused)
    {
        _upstream.Faults = _ => new UpstreamFault { Status = 401, Headers = { ["WWW-Authenticate"] = $"Bearer realm=\"x\",error=\"{error}\"" } };
        using var client = _upstream.Client(up => up.Token = "abc");

        using var answer = await client.GetAsync("a", "manifests/1");

        answer.IsAccountRefused.ShouldBe(isRefused);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(401)]
    public async Task A_refresh_token_that_is_over_is_a_refused_account(int status)
    {
        _upstream.RequireBearer();
        _upstream.Faults = call => call.Path == "/token" ? new UpstreamFault { Status = status } : null;
        using var client = _upstream.Client(up => up.RefreshToken = "r");

        using var answer = await client.GetAsync("a", "manifests/1");

        (answer.Outcome, answer.IsAccountRefused).ShouldBe((UpstreamOutcome.Denied, true));
    }

    [Fact]
    public async Task A_password_that_changes_in_the_settings_is_sent_with_the_next_request()
    {
        var (password, changes) = ("old", new Changes());
        Require("old", isBearer: true);
        await using var registry = await PulledRegistry.StartAsync(
            up => (up.Username, up.Password, up.TagTtl) = ("somebody", password, TimeSpan.Zero),
            services: services => services.AddSingleton<IOptionsChangeTokenSource<OciRegistryOptions>>(changes),
            fake: _upstream);
        await ShouldPullAsync(registry);

        Require("new", isBearer: true);
        _upstream.Tokens.EndAll();
        password = "new";
        changes.Raise();

        _upstream.ForgetCalls();
        await ShouldPullAsync(registry);
        _upstream.Calls.ShouldContain(call => call.Authorization == FakeTokens.BasicOf("somebody", "new"));
        _upstream.Calls.ShouldNotContain(call => call.Authorization == FakeTokens.BasicOf("somebody", "old"));
    }

    [Theory]
    [InlineData("PasswordFile")]
    [InlineData("TokenFile")]
    public async Task A_secret_in_a_file_is_read_again_when_it_changes(string setting)
    {
        var file = Path.Combine(_folder, "secret");
        File.WriteAllText(file, "old\n");
        using var log = new LogCapture(LogLevel.Information);
        await using var registry = await PulledRegistry.StartAsync(
            up =>
            {
                up.TagTtl = TimeSpan.Zero;
                if (setting == "PasswordFile")
                {
                    (up.Username, up.PasswordFile) = ("somebody", file);
                }
                else
                {
                    up.TokenFile = file;
                }
            },
            services: services => services.AddSingleton<ILoggerProvider>(log),
            time: _time,
            fake: _upstream);
        await ShouldSendAsync("old");

        File.WriteAllText(file, "a\nb"); // not one line
        await UntilLoggedAsync("The previous content stays in effect.");
        await ShouldSendAsync("old");

        File.WriteAllText(file, "new");
        await UntilLoggedAsync("use the new content.");
        await ShouldSendAsync("new");

        async Task ShouldSendAsync(string secret)
        {
            _upstream.RequireBasic("somebody", secret);
            _upstream.ForgetCalls();
            using var pulled = await registry.Http.GetManifestAsync("up/a", "1");
            _upstream.Calls[^1].Authorization.ShouldBe(
                setting == "PasswordFile" ? FakeTokens.BasicOf("somebody", secret) : $"Bearer {secret}");
        }

        Task UntilLoggedAsync(string text) => Until.TrueAsync(
            () =>
            {
                _time.Advance(TimeSpan.FromSeconds(1));
                return log.Lines.Any(line => line.Contains(text, StringComparison.Ordinal));
            },
            text);
    }

    [Theory]
    [InlineData("", "It must have one line")]
    [InlineData("a\nb", "It must have one line")]
    [InlineData("a b", "Its token has a space")]
    [InlineData("schlüssel", "Its token has a space, or a character that is not ASCII")]
    [InlineData(null, "It cannot be read")]
    public void A_file_without_a_secret_stops_the_start(string? content, string problem)
    {
        var file = Path.Combine(_folder, "secret");
        if (content is not null)
        {
            File.WriteAllText(file, content);
        }

        var options = new UpstreamOptions { Prefix = "a", Url = "https://example.com", TokenFile = file };

        options.Problems().ShouldHaveSingleItem().ShouldStartWith($"TokenFile '{file}': {problem}");
    }

    [Fact]
    public void A_token_that_no_header_can_carry_stops_the_start() =>
        new UpstreamOptions { Prefix = "a", Url = "https://example.com", Token = "schlüssel" }.Problems()
            .ShouldHaveSingleItem().ShouldStartWith("Token has a space, or a character that is not ASCII.");

    [Fact]
    public async Task A_credential_helper_is_asked_for_the_host_and_its_answer_is_used_until_its_time_is_over()
    {
        Require("secret", isBearer: true);
        using var client = WithHelper("""echo '{"ServerURL":"x","Username":"somebody","Secret":"secret"}'""");

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        Runs().ShouldBe([$"get {_upstream.Host}"]);

        _time.Advance(TimeSpan.FromMinutes(10) - TimeSpan.FromSeconds(1));
        await client.OutcomeAsync();
        Runs().Length.ShouldBe(1);
        _time.Advance(TimeSpan.FromSeconds(1));
        await client.OutcomeAsync();
        Runs().Length.ShouldBe(2);
    }

    [Fact]
    public async Task A_token_of_a_credential_helper_is_a_refresh_token()
    {
        _upstream.RequireBearer();
        _upstream.Tokens.RefreshToken = "identity";
        using var client = WithHelper("""echo '{"Username":"<token>","Secret":"identity"}'""");

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        _upstream.Count("POST", "/token").ShouldBe(1);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_refused_account_of_a_credential_helper_is_renewed_in_the_same_request(bool isBearer)
    {
        Require("old", isBearer);
        var file = Path.Combine(_folder, "now");
        File.WriteAllText(file, "old");
        using var client = WithHelper($$"""printf '{"Username":"somebody","Secret":"%s"}' "$(cat {{file}})" """);
        await client.OutcomeAsync();

        File.WriteAllText(file, "new");
        Require("new", isBearer);
        _upstream.Tokens.EndAll();
        _time.Advance(TimeSpan.FromSeconds(10));

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        Runs().Length.ShouldBe(2);
    }

    [Fact]
    public async Task A_credential_helper_that_has_nothing_else_is_run_once_in_10_s()
    {
        Require("another", isBearer: false);
        using var client = WithHelper("""echo '{"Username":"somebody","Secret":"secret"}'""");
        for (var i = 0; i < 3; i++)
        {
            (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Denied);
        }

        Runs().Length.ShouldBe(1);
        _time.Advance(TimeSpan.FromSeconds(10));
        await client.OutcomeAsync();
        Runs().Length.ShouldBe(2);
    }

    [Theory]
    [InlineData("exit 3", "ended with exit code 3.")]
    [InlineData("echo hunter2", "wrote no JSON with Username and Secret.")]
    [InlineData("""echo '{"Username":"hunter2"}'""", "wrote no JSON with Username and Secret.")]
    [InlineData("yes hunter2", "broke off (too much output).")]
    public async Task A_credential_helper_that_fails_is_named_without_its_output_and_the_upstream_is_not_asked(string script, string problem)
    {
        using var client = WithHelper(script);

        using var answer = await client.GetAsync("a", "manifests/1");

        (answer.Outcome, answer.IsAccountRefused).ShouldBe((UpstreamOutcome.Down, true));
        answer.Problem.ShouldBe($"The credential helper '{Path.Combine(_folder, "helper")}' of the upstream 'hub' {problem}");
        _upstream.Calls.ShouldBeEmpty();
        await client.OutcomeAsync();
        Runs().Length.ShouldBe(1);
    }

    [Fact]
    public async Task A_credential_helper_that_does_not_end_is_killed_after_the_time_out()
    {
        using var client = WithHelper($"echo $$ > {_folder}/pid; exec sleep 600");
        var asking = client.GetAsync("a", "manifests/1");
        await Until.TrueAsync(() => File.Exists($"{_folder}/pid") && File.ReadAllText($"{_folder}/pid").EndsWith('\n'), "it runs");

        _time.Advance(TimeSpan.FromSeconds(30));

        using var answer = await Until.DoneAsync(asking);
        answer.Problem!.ShouldEndWith("did not end within 30 s.");
        var pid = File.ReadAllText($"{_folder}/pid").Trim();
        await Until.TrueAsync(
            () => !File.Exists($"/proc/{pid}/cmdline") || !File.ReadAllText($"/proc/{pid}/cmdline").Contains("sleep"), "it is gone");
    }

    [Fact]
    public async Task While_a_credential_helper_fails_the_account_before_is_used()
    {
        Require("secret", isBearer: false);
        using var client = WithHelper($$"""[ ! -e {{_folder}}/broken ] && echo '{"Username":"somebody","Secret":"secret"}'""");
        await client.OutcomeAsync();
        File.WriteAllText(Path.Combine(_folder, "broken"), "");
        _time.Advance(TimeSpan.FromMinutes(10));

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);
        Runs().Length.ShouldBe(2);
    }

    [Fact]
    public async Task While_a_credential_helper_that_has_failed_hangs_nobody_waits_for_it()
    {
        Require("secret", isBearer: false);
        using var client = WithHelper(
            $$"""[ -e {{_folder}}/hangs ] && exec sleep 600; [ ! -e {{_folder}}/broken ] && echo '{"Username":"somebody","Secret":"secret"}'""");
        await client.OutcomeAsync();
        File.WriteAllText(Path.Combine(_folder, "broken"), "");
        _time.Advance(TimeSpan.FromMinutes(10));
        await client.OutcomeAsync();
        File.WriteAllText(Path.Combine(_folder, "hangs"), "");
        _time.Advance(TimeSpan.FromSeconds(10));

        (await client.OutcomeAsync()).ShouldBe(UpstreamOutcome.Found);

        await Until.TrueAsync(() => Runs().Length == 3, "it runs");
        _time.Advance(TimeSpan.FromMinutes(1)); // it is killed
    }

    private static async Task ShouldPullAsync(PulledRegistry registry)
    {
        using var pulled = await registry.Http.GetManifestAsync("up/a", "1");
        await pulled.ShouldHaveStatusAsync(System.Net.HttpStatusCode.OK);
        pulled.Header("Warning").ShouldBeNull();
    }

    private static async Task<double> RefusedAsync(PulledRegistry registry) =>
        PrometheusParser.Parse(await registry.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative)))
            .Single(family => family.Name == "oci_registry_upstream_requests_total")
            .Samples.Single(sample => sample.Labels.Any(label => label.Value == "refused")).Value;

    private void Require(string password, bool isBearer)
    {
        if (isBearer)
        {
            _upstream.RequireBearer("somebody", password);
        }
        else
        {
            _upstream.RequireBasic("somebody", password);
        }
    }

    /// <summary>A client whose credential helper notes what it was asked, then does what the script says.</summary>
    private UpstreamClient WithHelper(string script)
    {
        var file = Path.Combine(_folder, "helper");
        File.WriteAllText(file, $"#!/bin/sh\nread host\necho \"$1 $host\" >> {_folder}/runs\n{script}\n");
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        return _upstream.Client(up => up.CredentialHelper = file, _time);
    }

    private string[] Runs() => File.ReadAllLines(Path.Combine(_folder, "runs"));

    /// <summary>Has the options made anew.</summary>
    private sealed class Changes : IOptionsChangeTokenSource<OciRegistryOptions>
    {
        private ConfigurationReloadToken _change = new();

        public string Name => Options.DefaultName;

        public IChangeToken GetChangeToken() => _change;

        public void Raise() => Interlocked.Exchange(ref _change, new ConfigurationReloadToken()).OnReload();
    }
}

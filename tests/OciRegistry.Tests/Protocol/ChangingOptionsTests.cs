using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using OciRegistry.Server.Settings;
using OciRegistry.Tests.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Protocol;

/// <summary>Options that an application has bound to its configuration, which is read again while the registry runs.</summary>
public sealed class ChangingOptionsTests
{
    private readonly LiveSettings _values = new(new ConfigurationBuilder().Build());

    [Fact]
    public async Task A_change_counts_from_the_next_request_on()
    {
        await using var registry = await StartAsync();
        await registry.Http.PushImageAsync("a", "v1");
        await registry.Http.PushImageAsync("a", "v2");

        Change(("ReadOnly", "true"), ("Listings:MaxPageSize", "1"));
        using (var refused = await registry.Http.StartUploadAsync("a"))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
        }

        using (var page = await registry.Http.GetAsync(new Uri("/v2/a/tags/list", UriKind.Relative)))
        {
            page.NextPage().ShouldNotBeNull();
        }

        Change(("ReadOnly", "false"), ("Deletes:Enabled", "false"), ("Listings:MaxPageSize", "2"));
        await registry.Http.PushBlobAsync("a", RegistryClient.RandomBytes(10));
        using var deleted = await registry.Http.DeleteAsync("/v2/a/manifests/v1");
        await deleted.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
        using var whole = await registry.Http.GetAsync(new Uri("/v2/a/tags/list", UriKind.Relative));
        whole.NextPage().ShouldBeNull();
    }

    /// <summary>What a manifest refers to is looked at once its body is there, and a blob's length as it comes.</summary>
    [Fact]
    public async Task A_request_that_runs_sees_nothing_of_a_change_and_the_next_one_all_of_it()
    {
        await using var registry = await StartAsync(("Manifests:References", "Off"));
        var manifest = RegistryClient.ImageManifest(RegistryClient.RandomBytes(10), []); // of a config that nobody has pushed
        using var running = new TcpClient();
        await running.ConnectAsync(IPAddress.Loopback, registry.Url.Port);
        var head = $"PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: {registry.Url.Authority}\r\nContent-Type: {MediaTypes.ImageManifest}\r\n"
            + $"Content-Length: {manifest.Length}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
        await running.GetStream().WriteAsync(Encoding.ASCII.GetBytes(head));
        using var answers = new StreamReader(running.GetStream(), Encoding.ASCII);
        (await Until.DoneAsync(answers.ReadLineAsync())).ShouldBe("HTTP/1.1 100 Continue"); // it reads: it has begun
        await answers.ReadLineAsync();

        Change(("ReadOnly", "true"));
        await running.GetStream().WriteAsync(manifest);

        (await Until.DoneAsync(answers.ReadLineAsync())).ShouldBe("HTTP/1.1 201 Created");
        using (var refused = await registry.Http.PutManifestAsync("a", "v2", manifest))
        {
            await refused.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
        }

        Change();
        using var checkedNow = await registry.Http.PutManifestAsync("a", "v2", manifest);
        await checkedNow.ShouldBeErrorAsync(HttpStatusCode.NotFound, "MANIFEST_BLOB_UNKNOWN");
    }

    [Fact]
    public async Task What_is_held_is_held_by_whoever_called_and_by_what_he_called()
    {
        await using var registry = await StartAsync();
        var options = registry.Services.GetRequiredService<CurrentOptions>();

        await HoldAndChangeAsync();

        options.Value.ReadOnly.ShouldBeTrue();

        async Task HoldAndChangeAsync()
        {
            options.Hold();
            Change(("ReadOnly", "true"));
            await Task.Yield();
            options.Value.ReadOnly.ShouldBeFalse();
            (await Task.Run(() => options.Value.ReadOnly)).ShouldBeFalse();
        }
    }

    [Fact]
    public async Task Options_that_cannot_be_leave_those_before()
    {
        await using var registry = await StartAsync();

        Should.Throw<AggregateException>(() => Change(("ReadOnly", "true"), ("Listings:MaxPageSize", "0")))
            .GetBaseException().ShouldBeOfType<OptionsValidationException>();

        await registry.Http.PushBlobAsync("a", RegistryClient.RandomBytes(10));
        Change(("ReadOnly", "true"));
        using var refused = await registry.Http.StartUploadAsync("a");
        await refused.ShouldBeErrorAsync(HttpStatusCode.MethodNotAllowed, "UNSUPPORTED");
    }

    [Fact]
    public async Task A_registry_in_which_people_log_in_is_not_opened_by_taking_its_last_policy_away()
    {
        await using var registry = await StartAsync(
            ("Auth:Policies:0:Subjects:0", "anonymous"), ("Auth:Policies:0:Repositories:0", "**"), ("Auth:Policies:0:Actions:0", "pull"));
        using (var pull = await registry.Http.GetAsync(new Uri("/v2/a/tags/list", UriKind.Relative)))
        {
            pull.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        Change();

        using var answer = await registry.Http.GetAsync(new Uri("/v2/a/tags/list", UriKind.Relative));
        answer.StatusCode.ShouldBe(HttpStatusCode.Unauthorized);
    }

    [Fact]
    public async Task A_rate_that_changes_begins_anew_and_one_that_stays_is_used_up()
    {
        await using var registry = await StartAsync(("Limits:PerAddress", "1"));
        await ShouldBeLimitedAsync(registry);

        Change(("Limits:PerAddress", "1"), ("Listings:MaxPageSize", "5"));
        await ShouldBeLimitedAsync(registry, atMost: 9);

        Change(("Limits:PerAddress", "2"));
        using (var served = await registry.Http.GetAsync(new Uri("/v2/", UriKind.Relative)))
        {
            served.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await ShouldBeLimitedAsync(registry);
        Change();
        using var unlimited = await registry.Http.GetAsync(new Uri("/v2/", UriKind.Relative));
        unlimited.StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task Fewer_failed_logins_count_at_once()
    {
        using var users = new AuthFolder();
        (string, string)[] guarded =
        [
            ("Auth:Htpasswd", users.Htpasswd), ("Auth:FailedLoginDelay", "00:00:00"), ("Auth:MaxFailedLogins", "1000"),
        ];
        await using var registry = await StartAsync(guarded);
        for (var i = 0; i < 3; i++)
        {
            (await LogInAsync(registry)).ShouldBe(HttpStatusCode.Unauthorized);
        }

        Change([.. guarded, ("Auth:MaxFailedLogins", "1")]);

        (await LogInAsync(registry)).ShouldBe(HttpStatusCode.Unauthorized);
        (await LogInAsync(registry)).ShouldBe(HttpStatusCode.TooManyRequests);
    }

    private static async Task<HttpStatusCode> LogInAsync(RegistryApp registry)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/v2/");
        request.Headers.Authorization = GuardedRegistry.Basic("alice", "wrong");
        using var response = await registry.Http.SendAsync(request);
        return response.StatusCode;
    }

    private static async Task ShouldBeLimitedAsync(RegistryApp registry, int atMost = 1_000)
    {
        for (var served = 0; served <= atMost; served++)
        {
            using var response = await registry.Http.GetAsync(new Uri("/v2/", UriKind.Relative));
            if (response.StatusCode == HttpStatusCode.TooManyRequests)
            {
                return;
            }
        }

        throw new ShouldAssertException($"More than {atMost} requests were served.");
    }

    private async Task<RegistryApp> StartAsync(params (string Name, string Value)[] values)
    {
        Change(values);
        return await RegistryApp.StartAsync(
            services: services => services.AddOptions<OciRegistryOptions>().BindConfiguration("Registry"),
            host: host => ((IConfigurationBuilder)host.Configuration).Add(_values));
    }

    /// <summary>Has the configuration be this, and nothing else.</summary>
    private void Change(params (string Name, string Value)[] values)
    {
        var all = new Dictionary<string, string?>(StringComparer.OrdinalIgnoreCase);
        foreach (var (name, value) in values)
        {
            all[$"Registry:{name}"] = value;
        }

        _values.Take(all);
    }
}

using System.Globalization;
using System.Net;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;
using static OciRegistry.Tests.Auth.TokenClient;

namespace OciRegistry.Tests.Auth;

/// <summary>Who sends too many requests is told to wait, and nobody else is.</summary>
public sealed class RequestLimitTests
{
    // One a second, ten at once: more than a test sends in the time of one.
    private const int MaxSent = 200;

    [Fact]
    public async Task Too_many_requests_of_a_subject_are_answered_429_and_others_are_served()
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(folder, options => options.Limits.PerSubject = 1);
        var (alice, bob) = (Basic("alice", AuthFolder.AlicesPassword), Basic("bob", AuthFolder.BobsPassword));

        await ShouldBeLimitedAsync(() => registry.Http.RequestAsync("GET", "/v2/", alice));

        using var others = await registry.Http.RequestAsync("GET", "/v2/", bob);
        await others.ShouldHaveStatusAsync(HttpStatusCode.OK);
        using var anonymous = await registry.Http.RequestAsync("GET", "/v2/public/a/tags/list");
        await anonymous.ShouldHaveStatusAsync(HttpStatusCode.NotFound);
        await ShouldBeLimitedAsync(() => registry.Http.RequestAsync("GET", "/v2/public/a/tags/list"));
        using var still = await registry.Http.RequestAsync("GET", "/v2/", bob);
        await still.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_subject_is_the_same_whichever_way_it_is_proved()
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(folder, options => options.Limits.PerSubject = 1);
        var token = await registry.Http.TokenAsync("alice", AuthFolder.AlicesPassword);

        await ShouldBeLimitedAsync(() => registry.Http.RequestAsync("GET", "/v2/", Bearer(token)));

        await ShouldBeLimitedAsync(
            () => registry.Http.AskTokenAsync("", Basic("alice", AuthFolder.AlicesPassword)), atLeast: 0);
    }

    [Theory]
    [InlineData("GET", "/v2/")]
    [InlineData("GET", "/v2/public/a/tags/list")]
    [InlineData("GET", "/token")]
    [InlineData("POST", "/token")]
    public async Task Too_many_requests_from_an_address_are_answered_429_and_those_from_others_are_served(string method, string path)
    {
        using var folder = new AuthFolder();
        await using var registry = await TokenRegistry.StartAsync(folder, options =>
        {
            options.Limits.PerAddress = 1;
            options.Auth.MaxFailedLogins = 1_000_000;
        });
        using var elsewhere = TokenClient.From("127.0.0.2", registry.Url);

        await ShouldBeLimitedAsync(() => SendAsync(registry.Http));

        using var served = await SendAsync(elsewhere);
        served.StatusCode.ShouldNotBe(HttpStatusCode.TooManyRequests);

        Task<HttpResponseMessage> SendAsync(HttpClient http) => method == "POST"
            ? http.PostTokenAsync(("grant_type", "password"), ("username", "alice"), ("password", "wrong"))
            : http.RequestAsync(method, path);
    }

    [Fact]
    public async Task Limits_hold_where_nobody_has_to_log_in()
    {
        await using var registry = await RegistryApp.StartAsync(options => options.Limits.PerAddress = 1);
        using var elsewhere = TokenClient.From("127.0.0.2", registry.Url);

        await ShouldBeLimitedAsync(() => registry.Http.RequestAsync("GET", "/v2/"));

        using var served = await elsewhere.RequestAsync("GET", "/v2/");
        await served.ShouldHaveStatusAsync(HttpStatusCode.OK);
        await using var bySubject = await RegistryApp.StartAsync(options => options.Limits.PerSubject = 1);
        await ShouldBeLimitedAsync(() => bySubject.Http.RequestAsync("GET", "/v2/"));
    }

    [Fact]
    public async Task Nobody_is_limited_unless_it_is_asked_for()
    {
        await using var registry = await RegistryApp.StartAsync();

        for (var i = 0; i < 300; i++)
        {
            using var answer = await registry.Http.RequestAsync("GET", "/v2/");
            answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        }
    }

    /// <summary>Whether a replica lives is for an orchestrator to ask, and not for a limit to hide.</summary>
    [Theory]
    [InlineData("/livez")]
    [InlineData("/readyz")]
    public async Task Health_is_told_whoever_asks_how_often(string path)
    {
        await using var registry = await RegistryApp.StartAsync(
            options => (options.Limits.PerAddress, options.Limits.PerSubject) = (1, 1));

        for (var i = 0; i < 30; i++)
        {
            using var answer = await registry.Http.RequestAsync("GET", path);
            answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        }
    }

    [Theory]
    [InlineData("10.0.0.1", "10.0.0.1", null)]
    [InlineData("::ffff:10.0.0.1", "10.0.0.1", null)]
    [InlineData("2001:db8::1", "2001:db8::", "2001:db8::/56")]
    [InlineData("2001:db8::ffff:ffff:ffff:ffff", "2001:db8::", "2001:db8::/56")]
    [InlineData("2001:db8:0:1::1", "2001:db8:0:1::", "2001:db8::/56")]
    [InlineData("2001:db8:0:ff::1", "2001:db8:0:ff::", "2001:db8::/56")]
    [InlineData("2001:db8:0:100::1", "2001:db8:0:100::", "2001:db8:0:100::/56")]
    [InlineData("::1", "::", "::/56")]
    public void A_network_of_IPv6_is_one_address(string address, string network, string? wide) =>
        ClientNetwork.Of(IPAddress.Parse(address)).ShouldBe(new ClientNetwork(network, wide));

    [Fact]
    public void A_customer_with_many_networks_of_IPv6_has_four_times_as_much()
    {
        var options = new OciRegistryOptions();
        options.Limits.PerAddress = 1;
        using var limits = new RequestLimits(Microsoft.Extensions.Options.Options.Create(options));

        Enumerable.Range(0, 200).Count(i => limits.WaitOf(IPAddress.Parse($"2001:db8:0:{i:x}::1")) is null)
            .ShouldBeInRange(40, 100); // ten at once, four times; and what comes back meanwhile
        limits.WaitOf(IPAddress.Parse("2001:db8:0:100::1")).ShouldBeNull();
    }

    /// <summary>Sends until it is refused, which it is at last, in the envelope and with the time to wait.</summary>
    private static async Task ShouldBeLimitedAsync(Func<Task<HttpResponseMessage>> send, int atLeast = 9)
    {
        for (var served = 0; served < MaxSent; served++)
        {
            using var answer = await send();
            if (answer.StatusCode == HttpStatusCode.TooManyRequests)
            {
                await answer.ShouldBeErrorAsync(HttpStatusCode.TooManyRequests, "TOOMANYREQUESTS");
                int.Parse(answer.Header("Retry-After")!, CultureInfo.InvariantCulture).ShouldBeInRange(1, 10);
                (await answer.Content.ReadAsStringAsync()).ShouldContain("You send more requests than this registry serves.");
                served.ShouldBeGreaterThanOrEqualTo(atLeast);
                return;
            }
        }

        throw new ShouldAssertException($"{MaxSent} requests were served.");
    }
}

using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Auth;
using OciRegistry.Storage;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Auth;

/// <summary>An upload belongs to who has started it, and outlives his token.</summary>
public sealed class UploadTokenTests : IAsyncLifetime
{
    private static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(5);

    private readonly string _repository = RegistryClient.NewRepository();
    private readonly ManualTimeProvider _time = new();
    private GuardedRegistry _registry = null!;

    public async ValueTask InitializeAsync() =>
        _registry = await StartAsync(services => services.AddSingleton<TimeProvider>(_time));

    private static Task<GuardedRegistry> StartAsync(Action<IServiceCollection> services) => GuardedRegistry.StartAsync(
        AuthMode.Several,
        ["alice", "bob", "carol"],
        [
            GuardedRegistry.Allow("user:alice", "test/**", "pull", "push"),
            GuardedRegistry.Allow("user:bob", "test/**", "pull", "push"),
            GuardedRegistry.Allow("anonymous", "test/**", "push"),
        ],
        services: services);

    public ValueTask DisposeAsync() => _registry.DisposeAsync();

    [Fact]
    public async Task A_push_goes_on_with_the_token_that_it_was_started_with()
    {
        var content = RegistryClient.RandomBytes(1_000);
        using var client = await ClientAsync("alice");
        var location = await client.NewUploadAsync(_repository);
        _time.Advance(Lifetime + TimeSpan.FromSeconds(1));

        using var patched = await client.PatchAsync(location, content[..500]);
        await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        _time.Advance(TimeSpan.FromHours(23));
        using var status = await client.GetAsync(new Uri(location, UriKind.Relative));
        status.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        using var closed = await client.CompleteAsync(
            patched.Headers.Location!.ToString(), Digest.Of(content).ToString(), content[500..]);
        closed.StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData(-10)]
    [InlineData(10)]
    public async Task An_upload_outlives_its_token_and_no_earlier_one_when_the_clock_is_off(int minutesAhead)
    {
        var machine = new ManualTimeProvider();
        machine.TurnBack(TimeSpan.FromMinutes(-minutesAhead));
        await using var registry = await StartAsync(
            services => services.AddSingleton<TimeProvider>(machine).AddSingleton<IStoreTime>(new StoreTimeOf(_time)));
        using var early = await ClientAsync("alice", registry);
        Advance(Lifetime + TimeSpan.FromSeconds(2));
        using var client = await ClientAsync("alice", registry);
        var location = await client.NewUploadAsync(_repository);
        Advance(Lifetime + TimeSpan.FromSeconds(1));

        using var refused = await early.PatchAsync(location, new byte[10]);
        await refused.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
        using var patched = await client.PatchAsync(location, new byte[10]);
        await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);

        void Advance(TimeSpan by)
        {
            _time.Advance(by);
            machine.Advance(by);
        }
    }

    [Fact]
    public async Task A_token_that_has_ended_may_cancel_its_upload()
    {
        using var client = await ClientAsync("alice");
        var location = await client.NewUploadAsync(_repository);
        _time.Advance(Lifetime + TimeSpan.FromSeconds(1));

        using var cancelled = await client.DeleteAsync(new Uri(location, UriKind.Relative));

        cancelled.StatusCode.ShouldBe(HttpStatusCode.NoContent);
    }

    [Fact]
    public async Task After_a_day_it_is_over()
    {
        using var client = await ClientAsync("alice");
        var location = await client.NewUploadAsync(_repository);
        _time.Advance(Lifetime + TimeSpan.FromHours(23));
        using var patched = await client.PatchAsync(location, new byte[10]);
        await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        _time.Advance(TimeSpan.FromHours(1) + TimeSpan.FromSeconds(1));

        using var refused = await client.PatchAsync(patched.Headers.Location!.ToString(), new byte[10]);

        await refused.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
    }

    [Fact]
    public async Task A_token_that_had_ended_before_the_upload_began_does_not_write_to_it()
    {
        using var early = await ClientAsync("alice");
        _time.Advance(Lifetime + TimeSpan.FromSeconds(2));
        using var later = await ClientAsync("alice");
        var location = await later.NewUploadAsync(_repository);

        using var refused = await early.PatchAsync(location, new byte[10]);

        await refused.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
        refused.Headers.WwwAuthenticate.ToString().ShouldContain("error=\"invalid_token\"");
    }

    [Fact]
    public async Task Whatever_else_is_asked_with_a_token_that_has_ended_is_refused()
    {
        using var client = await ClientAsync("alice");
        await client.NewUploadAsync(_repository);
        _time.Advance(Lifetime + TimeSpan.FromSeconds(1));

        using var started = await client.StartUploadAsync(_repository);
        using var pulled = await client.GetManifestAsync(_repository, "v1");
        using var unknown = await client.PatchAsync($"/v2/{_repository}/blobs/uploads/{UploadSessionId.New()}", new byte[10]);

        await started.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
        await pulled.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
        await unknown.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
    }

    [Fact]
    public async Task Who_has_been_shut_out_meanwhile_does_not_finish_his_push()
    {
        using var client = await ClientAsync("alice");
        var location = await client.NewUploadAsync(_repository);
        _time.Advance(Lifetime + TimeSpan.FromSeconds(1));
        _registry.SetUsers("bob");
        _registry.RefreshFiles();

        using var refused = await client.PatchAsync(location, new byte[10]);

        await refused.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
    }

    [Fact]
    public async Task An_upload_is_unknown_to_everybody_but_who_has_started_it()
    {
        using var alice = await ClientAsync("alice");
        var location = await alice.NewUploadAsync(_repository);
        using var bob = await ClientAsync("bob");
        using var nobody = _registry.ClientWith(null);

        foreach (var other in (HttpClient[])[bob, nobody])
        {
            using var status = await other.GetAsync(new Uri(location, UriKind.Relative));
            using var patched = await other.PatchAsync(location, new byte[10]);
            using var closed = await other.CompleteAsync(location, Digest.Of(new byte[10]).ToString(), new byte[10]);
            using var cancelled = await other.DeleteAsync(new Uri(location, UriKind.Relative));
            await patched.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
            status.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            closed.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            cancelled.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        (await alice.OffsetAsync(location)).ShouldBe(0);
    }

    [Fact]
    public async Task An_upload_of_one_repository_is_unknown_in_another()
    {
        using var client = _registry.ClientWith(GuardedRegistry.Basic("alice"));
        var location = await client.NewUploadAsync(_repository);

        using var patched = await client.PatchAsync(
            location.Replace(_repository, RegistryClient.NewRepository(), StringComparison.Ordinal), new byte[10]);

        await patched.ShouldBeErrorAsync(HttpStatusCode.NotFound, "BLOB_UPLOAD_UNKNOWN");
    }

    [Fact]
    public async Task Somebody_is_the_same_whichever_way_he_has_logged_in()
    {
        var content = RegistryClient.RandomBytes(100);
        using var withToken = await ClientAsync("alice");
        using var withPassword = _registry.ClientWith(GuardedRegistry.Basic("alice"));
        var location = await withToken.NewUploadAsync(_repository);

        using var patched = await withPassword.PatchAsync(location, content);
        using var closed = await withToken.CompleteAsync(
            patched.Headers.Location!.ToString(), Digest.Of(content).ToString());

        closed.StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task Nobody_is_one_subject_whether_he_says_so_or_not()
    {
        using var silent = _registry.ClientWith(null);
        using var empty = _registry.ClientWith(new AuthenticationHeaderValue("Basic", "Og=="));
        var location = await silent.NewUploadAsync(_repository);

        using var patched = await empty.PatchAsync(location, new byte[10]);

        await patched.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    [Theory]
    [InlineData("?offset=99999999999999999999999")]
    [InlineData("?offset=-1")]
    [InlineData("?offset=1e3")]
    public async Task An_address_that_somebody_has_changed_is_refused_and_costs_nothing(string query)
    {
        using var client = await ClientAsync("alice");
        var location = await client.NewUploadAsync(_repository);

        using var patched = await client.PatchAsync(location.Split('?')[0] + query, new byte[10]);

        await patched.ShouldBeErrorAsync(HttpStatusCode.BadRequest, "BLOB_UPLOAD_INVALID");
        (await client.OffsetAsync(location)).ShouldBe(0);
    }

    [Theory]
    [InlineData(401, "UNAUTHORIZED")]
    [InlineData(403, "DENIED")]
    public async Task Who_is_known_and_refused_is_told_so_after_the_body_was_read(int status, string code)
    {
        using var early = await ClientAsync(status == 403 ? "carol" : "alice");
        _time.Advance(status == 403 ? TimeSpan.Zero : Lifetime + TimeSpan.FromSeconds(2));
        using var later = await ClientAsync("alice");
        var location = await later.NewUploadAsync(_repository);
        await using var raw = await RawHttp.ConnectAsync(_registry.App.Url);
        await raw.SendAsync(
            $"PATCH {location} HTTP/1.1\r\nHost: {_registry.App.Url.Authority}\r\nContent-Length: 3000000\r\n"
            + $"Expect: 100-continue\r\nAuthorization: {early.DefaultRequestHeaders.Authorization}\r\n\r\n");

        // The server begins to read; without that it would have answered at once.
        await raw.ReadContinueAsync();
        await raw.SendAsync(new byte[3_000_000]);
        var answer = await raw.ReadAsync();

        answer.Status.ShouldBe(status);
        answer.Codes.ShouldBe([code]);
        (await later.OffsetAsync(location)).ShouldBe(0);
    }

    [Fact]
    public async Task A_body_of_somebody_unknown_is_not_read()
    {
        var answer = await RawHttp.AskAsync(
            _registry.App.Url,
            $"PATCH /v2/{_repository}/blobs/uploads/{UploadSessionId.New()} HTTP/1.1\r\nContent-Length: 3000000\r\n"
            + $"Authorization: Basic {Convert.ToBase64String(Encoding.ASCII.GetBytes("alice:wrong"))}");

        answer.Status.ShouldBe(401);
    }

    private Task<HttpClient> ClientAsync(string user) => ClientAsync(user, _registry);

    private async Task<HttpClient> ClientAsync(string user, GuardedRegistry registry) => registry.ClientWith(GuardedRegistry.Bearer(
        await registry.MintAsync(
            registry.CallerOf(user), Lifetime, Scope.Repository(RepositoryName.Parse(_repository), Rights.Pull | Rights.Push))));
}

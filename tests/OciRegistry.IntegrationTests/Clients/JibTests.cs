using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary>What Jib needs of tokens: it gets one before it pushes, and sends bodies that it cannot stop.</summary>
public sealed class JibTests
{
    private const string Repository = "team/server";

    [Fact]
    public async Task A_push_survives_its_token()
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync([.. accounts.Settings(Login.Tokens), ShortLife]);

        await PushForLongerThanTokensLiveAsync(() => registry.Http.BaseAddress!);
    }

    [Theory]
    [InlineData(Shared.Folder)]
    [InlineData(Shared.AzureAndRedis)]
    public async Task A_push_survives_its_token_whichever_replica_gets_its_requests(Shared shared)
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var replicas = await ReplicaSet.StartAsync(shared, [.. accounts.Settings(Login.Tokens), ShortLife]);

        await PushForLongerThanTokensLiveAsync(() => replicas.Any.Http.BaseAddress!);
        await replicas.AssertNothingRemainsAsync();
    }

    [Fact]
    public async Task A_token_that_has_ended_is_refused_when_the_body_is_through()
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(
            [.. accounts.Settings(Login.Tokens), "OciRegistry:Auth:Tokens:Lifetime=00:00:04"]); // one of 1 s may end before it is used
        await Accounts.Alice.SignInAsync(registry, Login.Tokens, Repository);
        var location = await registry.Http.NewUploadAsync(Repository);
        var token = $"{await Accounts.Bob.TokenAsync(registry.Http, $"repository:{Repository}:pull")}";
        await Until.TrueAsync(
            async () => (await registry.Http.RequestAsync("GET", "/v2/", ("Authorization", token))).StatusCode == HttpStatusCode.Unauthorized,
            "the token has ended");

        var answers = await Task.WhenAll(
            SendSlowlyAsync("PATCH", location),
            SendSlowlyAsync("POST", $"/v2/{Repository}/blobs/uploads/?digest={Digest.Of([])}"));

        answers.ShouldAllBe(answer => answer.StartsWith("HTTP/1.1 401", StringComparison.Ordinal));
        answers.ShouldAllBe(answer => answer.Contains($"scope=\"repository:{Repository}:pull,push\"", StringComparison.Ordinal));
        await Accounts.Alice.SignInAsync(registry, Login.Tokens, Repository);
        (await registry.Http.OffsetAsync(location)).ShouldBe(0);

        // 4 MB/s: Kestrel itself reads for 5 s what nobody wants, and then ends the connection.
        async Task<string> SendSlowlyAsync(string method, string path)
        {
            using var upload = await RawUpload.StartAsync(registry.Http.BaseAddress!, method, path, null, authorization: token);
            var quarter = new byte[1_000_000];
            for (var i = 0; i < 4 * 7; i++)
            {
                await upload.SendChunkAsync(quarter);
                await Task.Delay(250);
            }

            await upload.SendLastChunkAsync();
            return await upload.AnswerAsync();
        }
    }

    [Theory]
    [MemberData(nameof(Accounts.EveryLogin), MemberType = typeof(Accounts))]
    public async Task Layers_of_a_base_image_in_the_same_registry_are_mounted(Login login)
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(login));
        var (layer, own) = (RegistryClient.RandomBytes(1000), RegistryClient.RandomBytes(1000));
        await Accounts.Alice.SignInAsync(registry, login, "team/base");
        await registry.Http.PushBlobAsync("team/base", layer);
        var bodies = 0;
        var client = new RetryingClient(() => registry.Http.BaseAddress!, Repository)
        {
            User = Accounts.Odd,
            BaseRepository = "team/base",
            BeforeBody = () => Task.FromResult(bodies++),
        };

        await client.LogInAsync();
        await client.PushAsync(layer);
        await client.PushAsync(own);

        bodies.ShouldBe(login == Login.Tokens ? 1 : 2); // without a token that says so, it does not ask for a mount
        client.Refreshed.ShouldBeEmpty();
    }

    private static string ShortLife => $"OciRegistry:Auth:Tokens:Lifetime=00:00:0{Counts.Of(ci: 2, full: 5)}";

    /// <summary>A few layers at once, as over a slow link; neither their bodies nor what closes them need another token.</summary>
    private static async Task PushForLongerThanTokensLiveAsync(Func<Uri> registry)
    {
        await Task.WhenAll(Enumerable.Range(0, 4).Select(async _ =>
        {
            RetryingClient client = null!;
            client = new RetryingClient(registry, Repository, patience: TimeSpan.FromMinutes(5))
            {
                User = Accounts.Alice,
                Pause = TimeSpan.FromMilliseconds(100),
                BeforeBody = () => Until.TrueAsync(() => client.HasTokenEndedAsync(), "the token has ended"),
            };
            byte[][] layer = [.. Enumerable.Range(0, Counts.Of(ci: 20, full: 600)).Select(_ => RegistryClient.RandomBytes(50_000))];
            var config = RegistryClient.RandomBytes(100);

            await client.LogInAsync();
            await client.PushAsync(layer);
            await client.PushAsync(config);

            client.Refreshed.ShouldNotContain(HttpMethod.Patch);
            client.Refreshed.ShouldNotContain(HttpMethod.Put);
            client.Repeated.ShouldBe(0);
            client.Refreshed.Clear();
            await client.PutManifestAsync("v1", RegistryClient.ImageManifest(config, [[.. layer.SelectMany(part => part)]]));
            client.Refreshed.ShouldNotBeEmpty(); // this is no upload session
        }));
    }
}

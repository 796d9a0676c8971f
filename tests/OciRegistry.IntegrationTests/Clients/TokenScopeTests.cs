using System.Net;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Clients;

/// <summary>
/// What regctl and the official conformance suite do: they know nothing of a mount's source beforehand, and ask for a token
/// with the scopes of the challenge, word by word. A mount that names no source is never a challenge to them.
/// </summary>
public sealed class TokenScopeTests
{
    [Fact]
    public async Task A_mount_without_a_source_starts_an_upload_when_the_token_covers_no_repository_with_the_blob()
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(Login.Tokens));
        var http = registry.Http;
        await Accounts.Alice.SignInAsync(registry, Login.Tokens, "team/base");
        var digest = await http.PushBlobAsync("team/base", RegistryClient.RandomBytes(1000));
        http.DefaultRequestHeaders.Authorization =
            await Accounts.Alice.TokenAsync(http, "repository:team/server:pull,push");

        using var started = await http.StartUploadAsync("team/server", $"?mount={digest}");

        await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task A_mount_that_the_token_does_not_cover_says_which_one_does()
    {
        const string from = "&from=team/base";
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(Login.Tokens));
        var http = registry.Http;
        await Accounts.Alice.SignInAsync(registry, Login.Tokens, "team/base");
        var digest = await http.PushBlobAsync("team/base", RegistryClient.RandomBytes(1000));
        http.DefaultRequestHeaders.Authorization =
            await Accounts.Alice.TokenAsync(http, "repository:team/server:pull,push");

        string scope;
        using (var asked = await http.StartUploadAsync("team/server", $"?mount={digest}{from}"))
        {
            await asked.ShouldBeErrorAsync(HttpStatusCode.Unauthorized, "UNAUTHORIZED");
            scope = asked.Header("WWW-Authenticate")!.Split("scope=\"")[1].Split('"')[0];
        }

        scope.ShouldBe("repository:team/server:pull,push repository:team/base:pull");
        http.DefaultRequestHeaders.Authorization = await Accounts.Alice.TokenAsync(http, scope);
        using var mounted = await http.StartUploadAsync("team/server", $"?mount={digest}{from}");
        await mounted.ShouldHaveStatusAsync(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData("&from=closed/base")]
    [InlineData("")]
    public async Task A_mount_from_where_somebody_may_not_pull_starts_an_upload_as_if_nothing_were_there(string from)
    {
        await using var accounts = await Accounts.CreateAsync();
        await using var registry = await ServerProcess.StartAsync(accounts.Settings(Login.Tokens));
        var http = registry.Http;
        await Accounts.Alice.SignInAsync(registry, Login.Tokens, "closed/base");
        var digest = await http.PushBlobAsync("closed/base", RegistryClient.RandomBytes(1000));

        // A token is good for what its owner may do, whatever he has asked for.
        http.DefaultRequestHeaders.Authorization =
            await Accounts.Bob.TokenAsync(http, "repository:bob/server:pull,push", "repository:closed/base:pull");
        using var started = await http.StartUploadAsync("bob/server", $"?mount={digest}{from}");
        await started.ShouldHaveStatusAsync(HttpStatusCode.Accepted);
        using var pulled = await http.GetBlobAsync("closed/base", digest);
        await pulled.ShouldBeErrorAsync(HttpStatusCode.Forbidden, "DENIED");
    }
}

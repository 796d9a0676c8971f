using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Extensions.DependencyInjection;
using OciRegistry.Auth;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Auth;

/// <summary>
/// A registry in which people have to log in, with users whose password is their name, and clients for them that do what the
/// registry asks for.
/// </summary>
internal sealed partial class GuardedRegistry : IAsyncDisposable
{
    /// <summary>What the provider's subjects begin with.</summary>
    public const string Issuer = "idp";

    private readonly AuthFolder _folder;
    private readonly AuthMode _mode;
    private readonly FakeProvider? _provider;

    private GuardedRegistry(AuthFolder folder, AuthMode mode, FakeProvider? provider, RegistryApp app) =>
        (_folder, _mode, _provider, App) = (folder, mode, provider, app);

    public RegistryApp App { get; }

    public HttpClient Http => App.Http;

    public string UsersFile => _folder.Htpasswd;

    public string PolicyFile => _folder.PolicyFile;

    public static async Task<GuardedRegistry> StartAsync(
        AuthMode mode,
        string[] users,
        PolicyOptions[] policies,
        Action<OciRegistryOptions>? options = null,
        Action<IServiceCollection>? services = null,
        string? root = null)
    {
        var folder = new AuthFolder();
        SetUsers(folder, users);
        var provider = mode is AuthMode.Issuer or AuthMode.Several ? await FakeProvider.StartAsync() : null;
        var app = await RegistryApp.StartAsync(
            registry =>
            {
                var auth = registry.Auth;
                auth.FailedLoginDelay = TimeSpan.Zero;
                if (mode != AuthMode.Open)
                {
                    auth.Htpasswd = mode == AuthMode.Issuer ? null : folder.Htpasswd;
                    provider?.Configure(auth, Issuer);
                    auth.Basic = mode is AuthMode.Basic or AuthMode.Several;
                    auth.Tokens.Enabled = mode is AuthMode.Bearer or AuthMode.Several;
                    foreach (var policy in policies)
                    {
                        auth.Policies.Add(policy);
                    }
                }

                options?.Invoke(registry);
            },
            services,
            root);
        return new GuardedRegistry(folder, mode, provider, app);
    }

    public static PolicyOptions Allow(string subject, string repositories, params string[] actions) =>
        new() { Subjects = [subject], Repositories = [repositories], Actions = [.. actions] };

    /// <summary>The password of each user is his name.</summary>
    public void SetUsers(params string[] users) => SetUsers(_folder, users);

    public static AuthenticationHeaderValue Basic(string user, string? password = null) =>
        new("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"{user}:{password ?? user}")));

    public static AuthenticationHeaderValue Bearer(string token) => new("Bearer", token);

    /// <summary>
    /// Sends a request as a client of the user does: first without anything, then with what the challenge asks for. Without a
    /// user it stays at what is asked.
    /// </summary>
    /// <param name="user">A user's name, which is his password too; null for nobody.</param>
    /// <param name="request">Makes the request: it may have to be sent twice.</param>
    public async Task<HttpResponseMessage> SendAsync(string? user, Func<HttpRequestMessage> request)
    {
        var first = await Http.SendAsync(request());
        if (user is null || first.StatusCode != HttpStatusCode.Unauthorized)
        {
            return first;
        }

        var authorization = await AnswerAsync(first, user);
        first.Dispose();
        return await SendAsync(authorization, request);
    }

    public async Task<HttpResponseMessage> SendAsync(AuthenticationHeaderValue? authorization, Func<HttpRequestMessage> request)
    {
        var message = request();
        message.Headers.Authorization = authorization;
        return await Http.SendAsync(message);
    }

    /// <summary>A client that sends this with each request.</summary>
    public HttpClient ClientWith(AuthenticationHeaderValue? authorization)
    {
        var client = RegistryClient.To(App.Url);
        client.DefaultRequestHeaders.Authorization = authorization;
        return client;
    }

    /// <summary>A client of the user for one repository.</summary>
    public async Task<HttpClient> ClientOfAsync(string user, string repository) => ClientWith(_mode switch
    {
        AuthMode.Open => null,
        AuthMode.Basic => Basic(user),
        AuthMode.Issuer => Bearer(_provider!.Token(user)),
        _ => Bearer(await MintAsync(
            CallerOf(user), TimeSpan.FromMinutes(1), new Scope(Scope.RepositoryType, repository, ["*"]))),
    });

    /// <summary>A token of the provider.</summary>
    public string ProvidersToken(string subject) => _provider!.Token(subject);

    /// <summary>A token from the token service.</summary>
    public async Task<string> TokenAsync(string user, string scope)
    {
        var request = new HttpRequestMessage(HttpMethod.Get, $"/token?service=x&scope={Uri.EscapeDataString(scope)}");
        request.Headers.Authorization = Basic(user);
        using var response = await Http.SendAsync(request);
        return (string)(await response.JsonAsync())["token"]!;
    }

    /// <summary>A token of the registry with whatever in it.</summary>
    public async Task<string> MintAsync(Caller caller, TimeSpan lifetime, params Scope[] scopes) =>
        await App.Services.GetRequiredService<RegistryTokens>().IssueAsync(caller, scopes, lifetime, CancellationToken.None);

    /// <summary>The user as the registry knows it.</summary>
    public Caller CallerOf(string user) => new(Caller.UserPrefix + user)
    {
        Credential = App.Services.GetRequiredService<AuthFiles>().Users!.Find(user)!.Credential,
    };

    /// <summary>Has the registry look at its files now.</summary>
    public void RefreshFiles() => App.Services.GetRequiredService<AuthFiles>().Refresh();

    public async ValueTask DisposeAsync()
    {
        await App.DisposeAsync();
        _folder.Dispose();
        if (_provider is not null)
        {
            await _provider.DisposeAsync();
        }
    }

    private static void SetUsers(AuthFolder folder, string[] users) => folder.SetUsers([.. users.Select(user => (user, user))]);

    private async Task<AuthenticationHeaderValue> AnswerAsync(HttpResponseMessage challenge, string user)
    {
        var header = challenge.Headers.WwwAuthenticate.ShouldHaveSingleItem();
        if (header.Scheme == "Basic")
        {
            return Basic(user);
        }

        if (_mode == AuthMode.Issuer)
        {
            return Bearer(_provider!.Token(user));
        }

        var parameters = Parameter().Matches(header.Parameter!)
            .ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value);
        var scope = parameters.GetValueOrDefault("scope") is { } wanted ? $"&scope={Uri.EscapeDataString(wanted)}" : "";
        var request = new HttpRequestMessage(HttpMethod.Get, $"{parameters["realm"]}?service={parameters["service"]}{scope}");
        request.Headers.Authorization = Basic(user);
        using var response = await Http.SendAsync(request);
        return Bearer((string)(await response.JsonAsync())["token"]!);
    }

    [GeneratedRegex("(\\w+)=\"([^\"]*)\"")]
    private static partial Regex Parameter();
}

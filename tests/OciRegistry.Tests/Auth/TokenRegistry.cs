using System.Net;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using OciRegistry.Tests.Support;

namespace OciRegistry.Tests.Auth;

/// <summary>
/// A registry where alice may push below <c>test</c> and delete in <c>test/own</c>, bob may pull there, carol is the operator,
/// and who has not logged in may pull below <c>public</c>.
/// </summary>
public sealed class TokenRegistry : IAsyncLifetime
{
    private RegistryApp? _registry;
    private int _linesSeen;

    internal AuthFolder Folder { get; } = new();

    internal RegistryApp Registry => _registry!;

    internal HttpClient Http => Registry.Http;

    /// <summary>Another one, of the test's own.</summary>
    internal static Task<RegistryApp> StartAsync(
        AuthFolder folder, Action<OciRegistryOptions>? options = null, TimeProvider? time = null) => RegistryApp.StartAsync(
        registry =>
        {
            folder.SetPolicies(
                """
                {
                  "policies": [
                    { "subjects": ["user:alice"], "repositories": ["test/**"], "actions": ["pull", "push"] },
                    { "subjects": ["user:alice"], "repositories": ["test/own"], "actions": ["delete"] },
                    { "subjects": ["user:bob"], "repositories": ["test/**"], "actions": ["pull"] },
                    { "subjects": ["user:carol"], "repositories": ["**"], "actions": ["admin"] },
                    { "subjects": ["anonymous"], "repositories": ["public/**"], "actions": ["pull"] }
                  ]
                }
                """);
            folder.Configure(registry.Auth);
            options?.Invoke(registry);
        },
        services =>
        {
            if (time is not null)
            {
                services.Replace(ServiceDescriptor.Singleton(time));
            }
        });

    public async ValueTask InitializeAsync()
    {
        Folder.SetUsers(("alice", AuthFolder.AlicesPassword), ("bob", AuthFolder.BobsPassword), ("carol", "operates"));
        _registry = await StartAsync(Folder, options => options.Auth.MaxFailedLogins = 1_000_000);
    }

    /// <summary>Nothing has failed since somebody asked, and who has the password is served.</summary>
    internal async Task ShouldBeUnharmedAsync()
    {
        var lines = Registry.Log.Lines.Skip(_linesSeen).ToArray();
        _linesSeen += lines.Length;
        string.Join('\n', lines.Where(line => !line.StartsWith("Warning"))).ShouldBeEmpty();
        using var answer = await Http.RequestAsync("GET", "/v2/", TokenClient.Basic("alice", AuthFolder.AlicesPassword));
        await answer.ShouldHaveStatusAsync(HttpStatusCode.OK);
    }

    public async ValueTask DisposeAsync()
    {
        await Registry.DisposeAsync();
        Folder.Dispose();
    }
}

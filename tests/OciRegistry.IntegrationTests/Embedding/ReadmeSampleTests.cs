using System.Net;
using System.Text.RegularExpressions;
using OciRegistry.IntegrationTests.Support;
using OciRegistry.Tests.Support;

namespace OciRegistry.IntegrationTests.Embedding;

/// <summary>What the README tells people to write into their application, compiled and run as it stands there.</summary>
public sealed partial class ReadmeSampleTests : IAsyncLifetime
{
    private readonly TempFolder _folder = new();

    public ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => _folder.DisposeAsync();

    [Fact]
    public async Task The_embedding_sample_compiles_and_is_a_registry()
    {
        var readme = await File.ReadAllTextAsync(Path.Combine(Checkout.Root, "README.md"));
        var sample = Sample().Match(readme).Groups["code"].Value;
        sample.ShouldContain("/var/lib/registry");
        await File.WriteAllTextAsync(
            _folder["Program.cs"], sample.Replace("/var/lib/registry", _folder["data"], StringComparison.Ordinal));

        // The assembly, not the project: a build of the project would write where other tests are running from.
        await File.WriteAllTextAsync(_folder["Sample.csproj"], $"""
            <Project Sdk="Microsoft.NET.Sdk.Web">
              <PropertyGroup>
                <TargetFramework>net10.0</TargetFramework>
                <ImplicitUsings>enable</ImplicitUsings>
              </PropertyGroup>
              <ItemGroup>
                <Reference Include="{typeof(Digest).Assembly.Location}" />
              </ItemGroup>
            </Project>
            """);
        var dotnet = Tool.Require("dotnet");
        await dotnet.RunAsync("build", _folder["Sample.csproj"], "-o", _folder["out"], "-v", "quiet");

        var url = new Uri($"http://127.0.0.1:{FreePort.Next()}");

        // In a folder of its own: a web application watches all that is below the one that it is started in.
        await using var application = dotnet.Start(
            _folder["out/Sample.dll"], "--urls", url.ToString(), "--contentRoot", _folder["out"]);
        using var http = new HttpClient { BaseAddress = url };
        await application.WaitUntilReadyAsync(() => http.AnswersAsync(new Uri(url, "/v2/")));

        var manifest = await http.PushImageAsync("sample/app", "v1");
        using var pulled = await http.GetManifestAsync("sample/app", "v1");
        pulled.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await pulled.Content.ReadAsByteArrayAsync()).ShouldBe(manifest);
        Directory.Exists(_folder["data/blobs"]).ShouldBeTrue();
    }

    [GeneratedRegex("## Inside your application\\s+```csharp\n(?<code>.*?)```", RegexOptions.Singleline)]
    private static partial Regex Sample();
}
